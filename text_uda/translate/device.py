"""Where a worker computes: its GPU, or its share of the CPU's cores."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_worker, _workers = 0, 1  # of this process


def start_worker(worker: int, workers: int) -> None:
    """Called once in each of `workers` processes, with its number from 0: they share GPUs and cores evenly."""
    global _worker, _workers
    _worker, _workers = worker, workers


def torch_device() -> "torch.device":
    """A GPU where there is one, of several the worker's own; else the CPU, of which a worker uses its share."""
    import torch

    if torch.cuda.is_available():
        return torch.device("cuda", _worker % torch.cuda.device_count())
    if _workers > 1:
        torch.set_num_threads(cores())
    return torch.device("cpu")


def block() -> int:
    """Sentences that a neural engine is best given at once."""
    return 512 if torch_device().type == "cpu" else 8192


def cores() -> int:
    """Those of this machine that this process may keep busy."""
    known = hasattr(os, "sched_getaffinity")  # not on a Mac
    return max(1, (len(os.sched_getaffinity(0)) if known else os.cpu_count() or 1) // _workers)
