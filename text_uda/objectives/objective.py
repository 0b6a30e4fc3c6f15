"""An objective: a frozen dataclass that says what it needs, and makes of a step's outputs a scalar and named terms.

The legend of shapes in this package: L labeled rows, U unlabeled rows, B any rows, C classes, T tokens, D the width of
the embeddings, H the width of what the last linear layer reads, N unlabeled rows of the whole data set.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol, get_args, runtime_checkable

import torch
from torch import Tensor

from text_uda.model.classifier import Classifier, ClassifierOutput
from text_uda.model.inputs import Batch
from text_uda.objectives.baseline import Baseline
from text_uda.objectives.needs import Needs, View


@dataclass(frozen=True, kw_only=True)
class Context:
    """What the step knows when it calls an objective."""

    student: Classifier
    """The model in training, for objectives that run rows of their own."""

    views: Mapping[View, ClassifierOutput]
    """Outputs of the joint forward, of the views that the objective needs."""

    targets: Tensor | None = None
    """(U, C), where needed."""

    teacher_logits: Tensor | None = None
    """(U, C), where needed."""

    step: int
    """From 0."""

    steps: int
    """Of the whole run."""

    classes: int

    key: int
    """63 bits for the draws of this objective in this step."""

    state: Mapping[str, Tensor]
    """Buffers of this objective, to be updated in place; they are kept in checkpoints."""

    chosen: "Chosen | None" = None
    """What a selective objective chose, where the step asked it before the second view was run."""

    @property
    def progress(self) -> float:
        """Share of the run that is over, in [0, 1)."""
        return self.step / self.steps


class Loss(NamedTuple):
    total: Tensor  # scalar
    terms: dict[str, Tensor | float]  # for the log; detached


@runtime_checkable
class Objective(Protocol):
    """Called with the context and the batch. One whose `weight` is 0 is not run at all."""

    needs: ClassVar[Needs]

    def __call__(self, context: Context, batch: Batch) -> Loss: ...


Method = Objective | Baseline
"""What a run is given: objectives whose losses are added, or a baseline, which stands alone."""


class Chosen(NamedTuple):
    """What a selective objective makes of the targets."""

    targets: Tensor  # labels (U,) int64, or probabilities (U, C); without gradient
    counted: Tensor  # (U,) bool: the rows that its loss counts
    threshold: Tensor | float  # the confidence from which on a row counts, or the mean of several; for the log


@runtime_checkable
class Selective(Protocol):
    """An objective that knows which unlabeled rows it counts before their second view is run.

    Where every objective that reads the second view does, the step runs those rows alone; the others have logits of
    zero there, without gradient. An objective called with no `context.chosen` chooses by itself.
    """

    def choose(self, context: Context, batch: Batch) -> Chosen:
        """Called once a step, with every view that the objective needs but the second one. It updates the state."""
        ...


@runtime_checkable
class Stateful(Protocol):
    """An objective that remembers something from step to step."""

    def initial_state(self, label_share: Tensor, unlabeled: int) -> dict[str, Tensor]:
        """Its buffers by name; {} where its settings ask for none. What they become is the same in all processes.

        Args:
            label_share: of each class among the labeled rows, (C,) float32.
            unlabeled: N, the number of unlabeled rows.
        Raises:
            SettingsError: settings that do not go with these classes.
        """
        ...


def in_use(objectives: Sequence[Objective]) -> dict[int, Objective]:
    """Those whose weight is not 0, by their place among all."""
    return {place: each for place, each in enumerate(objectives) if getattr(each, "weight", 1) != 0}


def counts(objective: Objective, *, step: int, steps: int) -> bool:
    """Whether it says something in this step: one with `until` does so in that share of the steps, from the first."""
    return step < getattr(objective, "until", 1) * steps


def all_needs(objectives: Iterable[Method]) -> Needs:
    """What any of them needs."""
    together = [objective.needs for objective in objectives]
    views = tuple(view for view in get_args(View) if any(view in needs.views for needs in together))
    return Needs(views=views, **{name: any(getattr(needs, name) for needs in together) for name in _FLAGS})


_FLAGS = (
    "targets",
    "teacher",
    "labeled",
    "unlabeled",
    "second",
    "augmentation",
    "embeddings",
    "hidden",
    "trained_hidden",
    "layers",
)


def agreement(labels: Tensor, logits: Tensor, counted: Tensor) -> Tensor:
    """The share of rows whose two views have one most probable class, among those that count: a scalar for the log.

    0 where none counts.

    Args:
        labels: the class of the first view, (U,).
        logits: of the second, (U, C).
        counted: (U,) bool, or by how much.
    """
    agree = (logits.detach().argmax(dim=-1) == labels).to(torch.float32)
    return (agree * counted).sum() / counted.sum().clamp_min(1e-12)


def shares(counted: Tensor) -> Tensor:
    """The share of rows that count, a scalar for the log. (B,) bool"""
    return counted.detach().to(torch.float32).mean()
