"""Collectives of the processes of one training run; with one process, each is the identity.

A batch is divided into equal parts in the order of the ranks. A loss that is a mean over rows needs no collective,
since data parallelism averages the gradients. A quantity of all rows (counts, running means, partners) needs one, so
that it is the same with any number of processes. Only the main process, rank 0, writes files.
"""

import atexit
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
    return dist.get_world_size() if _is_distributed() else 1


def rank() -> int:
    return dist.get_rank() if _is_distributed() else 0


def is_main() -> bool:
    """Before the process group starts, the launcher's environment decides."""
    return (rank() if _is_distributed() else int(os.environ.get("RANK", "0"))) == 0


def check(accelerator: Accelerator) -> None:
    """Raise SettingsError where the processes would not train together; at exit, end their process group.

    The group's threads may still be releasing tensors of the last collective. One that needs the interpreter while it
    is shutting down aborts the process ("terminate called without an active exception"), after all work is done.
    """
    atexit.register(_end_process_group)
    kind = accelerator.distributed_type.value
    if accelerator.num_processes != processes():
        raise SettingsError(
            f"{processes()} processes are running, and accelerate sees {accelerator.num_processes}: on CPUs set "
            "ACCELERATE_USE_CPU=true for torchrun; on GPUs use `accelerate launch --multi_gpu`"
        )
    if kind not in ("NO", "MULTI_CPU", "MULTI_GPU"):
        raise SettingsError(
            f"accelerate is configured for {kind}, which is not supported, because each process holds the whole model: "
            "use `accelerate launch --multi_gpu`, or another configuration"
        )


def largest(number: float) -> float:
    """The maximum over the processes."""
    if not _is_distributed():
        return number
    value = torch.tensor(number, dtype=torch.float64, device=_device())
    dist.all_reduce(value, op=dist.ReduceOp.MAX)
    return float(value)


def local_rows(rows: int) -> slice:
    """This process's part of a batch of `rows` rows, a multiple of the number of processes."""
    size, remainder = divmod(rows, processes())
    assert not remainder, "the trainer refuses batches that cannot be divided equally"
    return slice(rank() * size, (rank() + 1) * size)


def mean(values: Tensor) -> Tensor:
    """The mean over the processes, without gradient; all pass tensors of one shape."""
    return summed(values) / processes() if _is_distributed() else values.detach()


def summed(values: Tensor) -> Tensor:
    """The sum over the processes, without gradient; all pass tensors of one shape."""
    values = values.detach()
    if not _is_distributed():
        return values
    total = values.to(_device(), copy=True)
    dist.all_reduce(total)
    return total.to(values.device)


def largest_int(number: int, device: torch.device) -> int:
    """The maximum over the processes, reduced on this device."""
    if not _is_distributed():
        return number
    value = torch.tensor(number, device=device)
    dist.all_reduce(value, op=dist.ReduceOp.MAX)
    return int(value)


def any_of(flag: bool) -> bool:
    """Whether the flag is True in any process."""
    return bool(largest_int(int(flag), _device())) if _is_distributed() else flag


def mean_of(terms: Mapping[str, Tensor | float]) -> dict[str, float]:
    """The mean of each term over the processes; all pass the same names."""
    if not terms:
        return {}
    values = torch.stack([torch.as_tensor(value).detach().cpu().double() for value in terms.values()])
    return dict(zip(terms, mean(values).tolist(), strict=True))


def sum_gradients(parameters: Iterable[Parameter]) -> None:
    """Replace each gradient by its sum over the processes; a missing gradient counts as zeros."""
    if not _is_distributed():
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
    """Run the action in the main process only; all processes return its value, which must be JSON.

    Raises:
        UserError: raised by the action; in the other processes a SettingsError with the same message.
        SettingsError: in the other processes, where the action raised another error.
    """
    if not _is_distributed():
        return action()
    outcome: dict[str, Any] = {}
    failure: Exception | None = None
    if is_main():
        try:
            outcome["value"] = action()
        except Exception as error:
            failure = error
            outcome["failed"] = str(error) if isinstance(error, UserError) else f"the first process failed: {error!r}"
    outcome = json.loads(_broadcast_from_main(json.dumps(outcome)))
    if failure is not None:
        raise failure
    if "failed" in outcome:
        raise SettingsError(outcome["failed"])
    return outcome["value"]


def _broadcast_from_main(text: str) -> str:
    """The text of the main process, in every process."""
    content = torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8).to(_device())
    length = torch.tensor(len(content), device=_device())
    dist.broadcast(length, 0)
    content = content if is_main() else torch.empty(int(length), dtype=torch.uint8, device=_device())
    dist.broadcast(content, 0)
    return bytes(content.cpu().tolist()).decode()


def gathered(values: Tensor) -> Tensor:
    """The rows of all W processes, (B, ...) -> (W B, ...) in the order of ranks; gradients flow back."""
    return _Gather.apply(values) if _is_distributed() else values  # pyright: ignore[reportReturnType]


def _device() -> torch.device:
    """The device of tensors in collectives."""
    return torch.device("cuda", torch.cuda.current_device()) if dist.get_backend() == "nccl" else torch.device("cpu")


def _end_process_group() -> None:
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def _is_distributed() -> bool:
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
