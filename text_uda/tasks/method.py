"""The protocol of a method that trains several tasks on one encoder: a frozen dataclass, as an objective is.

Shapes in this package: T tasks, P shared parameters, B rows, D width.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from text_uda.model.inputs import Batch
from text_uda.tasks.shared_encoder import SharedEncoder
from text_uda.training.step import StepLoss


@dataclass(frozen=True)
class TaskBatches:
    """The rows of one step, by task."""

    step: int
    batches: Mapping[str, Batch]

    def to(self, device: torch.device) -> "TaskBatches":
        return TaskBatches(self.step, {name: batch.to(device) for name, batch in self.batches.items()})

    def pin_memory(self) -> "TaskBatches":
        return TaskBatches(self.step, {name: batch.pin_memory() for name, batch in self.batches.items()})

    def of(self, name: str) -> "TaskBatches":
        """The rows of one task."""
        return TaskBatches(self.step, {name: self.batches[name]})


class Run(Protocol):
    """A pass forward and backward over the rows of some tasks. A key tells the dropout of several passes of a step
    apart."""

    def __call__(self, batches: TaskBatches, *key: object) -> StepLoss: ...


def summed(losses: Mapping[str, Tensor]) -> Tensor:
    """The sum, a scalar. The loss of one task stays as it is, to the bit."""
    return torch.stack(list(losses.values())).sum() if len(losses) > 1 else next(iter(losses.values()))


class TaskMethod(Protocol):
    """Decides which tasks share a step, and how their losses become one gradient.

    By default each step has rows of every task, the losses are added, and each task has a head of its own.
    """

    @property
    def name(self) -> str:
        """In reports."""
        ...

    @property
    def shares_head(self) -> bool:
        """Whether the tasks have one head; they then need the same classes."""
        return False

    @property
    def trains_every_head(self) -> bool:
        """Whether each pass has a gradient for every task."""
        return True

    @property
    def trains_weights(self) -> bool:
        """Whether the weights of the losses are trained: `SharedEncoder.log_variances`."""
        return False

    def check(self, names: Collection[str], *, processes: int) -> None:
        """Raise SettingsError where the method does not fit these tasks or this number of processes."""

    def tasks_of(self, step: int, *, sizes: Mapping[str, int], seed: int) -> Collection[str]:
        """The tasks that have rows in a step, a pure function of its arguments.

        Args:
            step: from 0.
            sizes: the number of labeled rows of each task.
        """
        return sizes.keys()

    def total(self, losses: Mapping[str, Tensor], log_variances: Tensor | None) -> Tensor:
        """The loss of one pass, a scalar, from those of its tasks."""
        return summed(losses)

    def backward(self, run: Run, batches: TaskBatches, models: SharedEncoder, *, seed: int) -> StepLoss:
        """Set the gradients of a step."""
        return run(batches)
