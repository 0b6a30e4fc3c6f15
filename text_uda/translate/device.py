"""The device of a worker process: its GPU, or its share of the CPU cores."""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class WorkerShare:
    """The part of the machine that worker `worker` of `workers` uses; the default is the whole machine."""

    worker: int = 0
    workers: int = 1

    def torch_device(self) -> "torch.device":
        """A GPU if there is one, with the workers spread evenly over the GPUs; else the CPU.

        On a CPU it sets torch's thread count to the share of this worker.
        """
        import torch

        if torch.cuda.is_available():
            from text_uda.model.cuda import pin_float32

            pin_float32()
            return torch.device("cuda", self.worker % torch.cuda.device_count())
        self.set_threads()
        return torch.device("cpu")

    def set_threads(self) -> None:
        """Set torch's thread count on the CPU to the share of this worker."""
        import torch

        if self.workers > 1:
            torch.set_num_threads(self.cores())

    def block(self) -> int:
        """The best number of sentences per call of a neural engine."""
        return block_on(self.torch_device().type)

    def cores(self) -> int:
        """The number of cores for this worker."""
        has_affinity = hasattr(os, "sched_getaffinity")  # not on macOS
        return max(1, (len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1) // self.workers)


def block_on(device_type: str) -> int:
    """The best number of sentences per call of a neural engine on this type of device."""
    return 512 if device_type == "cpu" else 8192
