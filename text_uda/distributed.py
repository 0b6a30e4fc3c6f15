"""What the processes of one training run know of each other; with one process, each of these is the identity.

A batch is cut into equal parts in the order of the ranks. A loss that is a mean over rows needs nothing from here:
data parallelism averages the gradients. What looks at all rows at once (counts, running means, partners) asks here, and
so gives the same in any number of processes.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def processes() -> int:
    return dist.get_world_size() if _there() else 1


def rank() -> int:
    return dist.get_rank() if _there() else 0


def mean(values: Tensor) -> Tensor:
    """The mean over the processes, without gradient; each gives a tensor of one shape."""
    values = values.detach()
    if not _there():
        return values
    summed = values.clone()
    dist.all_reduce(summed)
    return summed / processes()


def most(number: int, device: torch.device) -> int:
    """The largest of the processes' numbers."""
    if not _there():
        return number
    largest = torch.tensor(number, device=device)
    dist.all_reduce(largest, op=dist.ReduceOp.MAX)
    return int(largest)


def gathered(values: Tensor) -> Tensor:
    """The rows of all processes, (B, ...) -> (W B, ...) in the order of ranks; the gradient goes back to each."""
    return _Gather.apply(values) if _there() else values  # pyright: ignore[reportReturnType]


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
