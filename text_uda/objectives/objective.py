"""The protocol of an objective: a frozen dataclass that declares its needs and computes a loss and terms for the log.

Shapes in this package: L labeled rows, U unlabeled rows, B any rows, C classes, T tokens, D width of the embeddings, H
width of the input of the last linear layer, N unlabeled rows of the data set.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from text_uda.model.classifier import Classifier, ClassifierOutput
from text_uda.model.inputs import Batch
from text_uda.objectives.baseline import Baseline
from text_uda.objectives.needs import Needs, View, merged


@dataclass(frozen=True, kw_only=True)
class Context:
    """The inputs of an objective besides the batch."""

    student: Classifier
    """The model in training, for objectives that run rows themselves."""

    views: Mapping[View, ClassifierOutput]
    """Outputs of the joint forward for the views that the objective needs."""

    targets: Tensor | None = None
    """Logits of the original view without gradient, (U, C), where needed."""

    teacher_logits: Tensor | None = None
    """Logits of the original view by the teacher, (U, C), where needed."""

    step: int
    """From 0."""

    steps: int
    """Of the whole run."""

    classes: int

    key: int
    """Decides the random draws of this objective in this step; 63 bits."""

    state: Mapping[str, Tensor]
    """Buffers of this objective, which it updates in place; checkpoints keep them."""

    selection: "RowSelection | None" = None
    """The rows of a selective objective, where the step requested them before it ran the second view."""

    @property
    def progress(self) -> float:
        """Completed share of the run, in [0, 1)."""
        return self.step / self.steps


class Loss(NamedTuple):
    total: Tensor  # scalar
    terms: dict[str, Tensor | float]  # for the log; detached


@runtime_checkable
class Objective(Protocol):
    """Called with the context and the batch, unless its `weight` is 0."""

    needs: ClassVar[Needs]

    def __call__(self, context: Context, batch: Batch) -> Loss: ...


Method = Objective | Baseline
"""The method of a run is one baseline, or objectives whose losses are added."""


class RowSelection(NamedTuple):
    """The pseudo-labels of a selective objective and the rows that it selects."""

    targets: Tensor  # labels (U,) int64, or probabilities (U, C); without gradient
    counted: Tensor  # (U,) bool: the rows in its loss
    threshold: Tensor | float  # the least confidence of a selected row, or the mean of several; for the log


@runtime_checkable
class Selective(Protocol):
    """An objective that selects unlabeled rows before their second view is run.

    Where every objective that reads the second view is selective, the step runs only the selected rows; the logits of
    the others are zeros without gradient. An objective that is called without `context.selection` selects rows itself.
    """

    def choose(self, context: Context, batch: Batch) -> RowSelection:
        """Called once a step with all views that the objective needs except the second one. It updates the state."""
        ...


@runtime_checkable
class Stateful(Protocol):
    """An objective that keeps state from step to step."""

    def initial_state(self, label_share: Tensor, unlabeled: int) -> dict[str, Tensor]:
        """Its buffers by name; {} where its settings need none. They are updated to the same values in all processes.

        Args:
            label_share: share of each class among the labeled rows, (C,) float32.
            unlabeled: N, the number of unlabeled rows.
        Raises:
            SettingsError: the settings do not fit these classes.
        """
        ...


def in_use(objectives: Sequence[Objective]) -> dict[int, Objective]:
    """The objectives whose weight is not 0, by their index among all."""
    return {index: objective for index, objective in enumerate(objectives) if getattr(objective, "weight", 1) != 0}


def is_active(objective: Objective, *, step: int, steps: int) -> bool:
    """Whether the objective has a loss in this step; with `until`, only in that first share of the steps."""
    return step < getattr(objective, "until", 1) * steps


def all_needs(objectives: Iterable[Method]) -> Needs:
    """Everything that any of them needs."""
    return merged(objective.needs for objective in objectives)


def agreement(labels: Tensor, logits: Tensor, counted: Tensor) -> Tensor:
    """The share of the selected rows whose two views have the same most probable class: a scalar for the log.

    0 where no row is selected.

    Args:
        labels: the class of the first view, (U,).
        logits: of the second view, (U, C).
        counted: (U,) bool, or the weights of the rows.
    """
    agree = (logits.detach().argmax(dim=-1) == labels).to(torch.float32)
    return (agree * counted).sum() / counted.sum().clamp_min(1e-12)


def shares(counted: Tensor) -> Tensor:
    """The share of selected rows, a scalar for the log. (B,) bool"""
    return counted.detach().to(torch.float32).mean()
