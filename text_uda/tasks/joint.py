"""All tasks in each step: their losses are added, with weights, or their gradients without conflicts."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

from text_uda.errors import SettingsError
from text_uda.tasks import pcgrad
from text_uda.tasks.method import Run, TaskBatches, TaskMethod, summed
from text_uda.tasks.shared_encoder import SharedEncoder
from text_uda.tasks.uncertainty import keep_within_bounds, uncertainty_weighted
from text_uda.training.step import StepLoss

Weights = Literal["fixed", "uncertainty", "pcgrad"]


@dataclass(frozen=True, kw_only=True)
class Joint(TaskMethod):
    """L = sum_t w_t L_t over the tasks t: each step has rows of every task, and one pass of the encoder for all.

    A task has `labeled_batch` labeled rows in a step and its unlabeled rows, so T tasks run T times the rows of one.
    Objectives that run rows themselves (VAT, ICT, MixMatch and the like) run them task by task.

    With "pcgrad" each task has a pass of its own, and its gradient is projected (see `pcgrad.projected`).
    """

    weights: Weights = "fixed"
    """How the tasks are weighted: "fixed" (1 each, or `task_weights`), by the trained "uncertainty" of each task, or
    "pcgrad", whose gradients are projected off each other where they conflict."""

    task_weights: Mapping[str, float] | None = None
    """Factors on the losses, by task. None: 1 for each task."""

    def __post_init__(self) -> None:
        if self.weights not in get_args(Weights):
            raise SettingsError(f"weights={self.weights!r}: choose {', '.join(get_args(Weights))}")
        if self.task_weights is None:
            return
        if self.weights != "fixed":
            raise SettingsError(f"task_weights are fixed, and weights={self.weights!r} are not: leave one of them out")
        for name, weight in self.task_weights.items():
            if not 0 < weight < float("inf"):
                raise SettingsError(f"task_weights: {name} has {weight}; give a number above 0, or leave the task out")

    @property
    def name(self) -> str:
        return "joint" if self.weights == "fixed" else self.weights if self.weights == "pcgrad" else "joint uncertainty"

    @property
    def trains_every_head(self) -> bool:
        return self.weights != "pcgrad"

    @property
    def trains_weights(self) -> bool:
        return self.weights == "uncertainty"

    def check(self, names: Collection[str], *, processes: int) -> None:
        if self.weights == "pcgrad" and processes > 1:
            raise SettingsError(
                f"weights='pcgrad' compares the gradients of whole batches, and each of {processes} processes has a "
                "part of a batch: use one process, or weights='fixed' or 'uncertainty'"
            )
        if len(names) == 1 and (self.trains_weights or self.task_weights is not None):
            raise SettingsError(
                "the weights of joint tasks are between tasks, and there is one: leave out "
                + ("weights='uncertainty'" if self.trains_weights else "task_weights")
            )
        if self.task_weights is not None and (other := [*names - self.task_weights.keys()]):
            raise SettingsError(f"task_weights has no weight for {', '.join(sorted(other))}; give one for each task")
        if self.task_weights is not None and (other := [*self.task_weights.keys() - set(names)]):
            raise SettingsError(f"task_weights names {', '.join(sorted(other))}; the tasks are {', '.join(names)}")

    def total(self, losses: Mapping[str, Tensor], log_variances: Tensor | None) -> Tensor:
        if log_variances is not None:
            return uncertainty_weighted([*losses.values()], log_variances)
        if self.task_weights is None:
            return summed(losses)
        return summed({name: self.task_weights[name] * loss for name, loss in losses.items()})

    def backward(self, run: Run, batches: TaskBatches, models: SharedEncoder, *, seed: int) -> StepLoss:
        if self.weights == "pcgrad":
            return pcgrad.backward(run, batches, models, seed=seed)
        if models.log_variances is not None:
            keep_within_bounds(models.log_variances)
        return run(batches)
