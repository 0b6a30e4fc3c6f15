"""One classifier for all tasks: they share the head too."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from torch import Tensor

from text_uda.tasks.method import Run, TaskBatches, summed
from text_uda.tasks.shared_encoder import SharedEncoder
from text_uda.training.step import StepLoss


@dataclass(frozen=True, kw_only=True)
class Pooled:
    """One classifier on the rows of all tasks, which have the same classes: what is lost without a head for each.

    L = sum_t L_t as in `Joint`, with rows of every task in each step, and one head for all. The classes have to mean
    the same in all tasks. Each task keeps its own development and test rows, and its own run directory with the shared
    model.
    """

    @property
    def name(self) -> str:
        return "pooled head"

    @property
    def shares_head(self) -> bool:
        return True

    @property
    def trains_every_head(self) -> bool:
        return True

    @property
    def trains_weights(self) -> bool:
        return False

    def check(self, names: Collection[str], *, processes: int) -> None:
        pass

    def tasks_of(self, step: int, *, sizes: Mapping[str, int], seed: int) -> Collection[str]:
        return sizes.keys()

    def total(self, losses: Mapping[str, Tensor], log_variances: Tensor | None) -> Tensor:
        return summed(losses)

    def backward(self, run: Run, batches: TaskBatches, models: SharedEncoder, *, seed: int) -> StepLoss:
        return run(batches)
