"""What the processes of one training run know of each other; with one process, each of these is the identity.

A batch is cut into equal parts in the order of the ranks. A loss that is a mean over rows needs nothing from here:
data parallelism averages the gradients. What looks at all rows at once (counts, running means, partners) asks here, and
so gives the same in any number of processes. What is written is written by the first process, the main one.
"""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from accelerate import Accelerator
from torch import Tensor
from torch.nn import Parameter

from text_uda.errors import SettingsError, UserError

Value = TypeVar("Value")


def processes() -> int:
    return dist.get_world_size() if _there() else 1


def rank() -> int:
    return dist.get_rank() if _there() else 0


def is_main() -> bool:
    """Before the processes met, what their launcher says."""
    return (rank() if _there() else int(os.environ.get("RANK", "0"))) == 0


def check(accelerator: Accelerator) -> None:
    """Raise SettingsError where the processes that there are would not train together."""
    kind = accelerator.distributed_type.value
    if accelerator.num_processes != processes():
        raise SettingsError(
            f"{processes()} processes were started, and accelerate sees {accelerator.num_processes}: on CPUs set "
            "ACCELERATE_USE_CPU=true for torchrun; on GPUs use `accelerate launch --multi_gpu`"
        )
    if kind not in ("NO", "MULTI_CPU", "MULTI_GPU"):
        raise SettingsError(
            f"accelerate is configured for {kind}, and training here copies the model to each process: use "
            "`accelerate launch --multi_gpu`, or a configuration without it"
        )


def largest(number: float) -> float:
    """Of the processes' numbers."""
    if not _there():
        return number
    value = torch.tensor(number, dtype=torch.float64, device=_device())
    dist.all_reduce(value, op=dist.ReduceOp.MAX)
    return float(value)


def own(rows: int) -> slice:
    """This process's part of so many rows, a number that the processes divide."""
    size, left = divmod(rows, processes())
    assert not left, "the trainer refuses batches that cannot be cut into equal parts"
    return slice(rank() * size, (rank() + 1) * size)


def mean(values: Tensor) -> Tensor:
    """The mean over the processes, without gradient; each gives a tensor of one shape."""
    return summed(values) / processes() if _there() else values.detach()


def summed(values: Tensor) -> Tensor:
    """The sum over the processes, without gradient; each gives a tensor of one shape."""
    values = values.detach()
    if not _there():
        return values
    total = values.to(_device(), copy=True)
    dist.all_reduce(total)
    return total.to(values.device)


def most(number: int, device: torch.device) -> int:
    """The largest of the processes' numbers."""
    if not _there():
        return number
    largest = torch.tensor(number, device=device)
    dist.all_reduce(largest, op=dist.ReduceOp.MAX)
    return int(largest)


def any_of(flag: bool) -> bool:
    """Whether it is so in any process."""
    return bool(most(int(flag), _device())) if _there() else flag


def mean_of(terms: Mapping[str, Tensor | float]) -> dict[str, float]:
    """The mean of each over the processes, which have the same names."""
    if not terms:
        return {}
    values = torch.stack([torch.as_tensor(value).detach().cpu().double() for value in terms.values()])
    return dict(zip(terms, mean(values).tolist(), strict=True))


def sum_gradients(parameters: Iterable[Parameter]) -> None:
    """Each gradient becomes the sum of those in all processes; a process that made none has zeros."""
    if not _there():
        return
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    for parameter in trained:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    gradients = [parameter.grad for parameter in trained if parameter.grad is not None]
    total = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(total)
    for gradient, part in zip(gradients, total.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def on_main(action: Callable[[], Value]) -> Value:
    """Do it in the main process alone; all processes get what it gave (a JSON value), or are refused as it was.

    Raises:
        UserError: of the same words in each process.
        SettingsError: in the others, where the main process failed in another way.
    """
    if not _there():
        return action()
    told: dict[str, Any] = {}
    failed: Exception | None = None
    if is_main():
        try:
            told["value"] = action()
        except Exception as error:
            failed = error
            told["failed"] = str(error) if isinstance(error, UserError) else f"the first process failed: {error!r}"
    told = json.loads(_from_main(json.dumps(told)))
    if failed is not None:
        raise failed
    if "failed" in told:
        raise SettingsError(told["failed"])
    return told["value"]


def _from_main(text: str) -> str:
    """What the main process has to say, in all."""
    content = torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8).to(_device())
    length = torch.tensor(len(content), device=_device())
    dist.broadcast(length, 0)
    content = content if is_main() else torch.empty(int(length), dtype=torch.uint8, device=_device())
    dist.broadcast(content, 0)
    return bytes(content.cpu().tolist()).decode()


def gathered(values: Tensor) -> Tensor:
    """The rows of all processes, (B, ...) -> (W B, ...) in the order of ranks; the gradient goes back to each."""
    return _Gather.apply(values) if _there() else values  # pyright: ignore[reportReturnType]


def _device() -> torch.device:
    """Where messages between the processes lie."""
    return torch.device("cuda", torch.cuda.current_device()) if dist.get_backend() == "nccl" else torch.device("cpu")


def _there() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        ctx.rows = len(values)
        sent = (values.to(torch.uint8) if values.dtype == torch.bool else values).contiguous()
        parts = [torch.empty_like(sent) for _ in range(processes())]
        dist.all_gather(parts, sent)
        return torch.cat(parts).to(values.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (gradient,) = gradients
        summed = gradient.contiguous().clone()
        dist.all_reduce(summed)
        return summed[rank() * ctx.rows :][: ctx.rows]
