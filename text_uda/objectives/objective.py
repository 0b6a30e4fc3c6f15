"""An objective: a frozen dataclass, called with a context and a batch; it returns a scalar and named terms."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

from torch import Tensor

from text_uda.batch import Batch


@dataclass(frozen=True)
class Context:
    """What the step knows when it calls an objective. L labeled, U unlabeled rows, C classes."""

    labeled_logits: Tensor  # (L, C)
    original_logits: Tensor | None  # (U, C), without gradient
    augmented_logits: Tensor | None  # (U, C)
    step: int  # from 0
    steps: int  # of the whole run
    state: Mapping[str, Tensor]  # this objective's own buffers; updated in place, kept in checkpoints


class Loss(NamedTuple):
    total: Tensor  # scalar
    terms: dict[str, Tensor | float]  # for the log; detached


@runtime_checkable
class Objective(Protocol):
    needs_pairs: ClassVar[bool]
    """Does it read unlabeled pairs? The trainer prepares them only for objectives that do."""

    def initial_state(self, classes: int) -> dict[str, Tensor]:
        """Buffers to keep between steps, by name."""
        ...

    def __call__(self, context: Context, batch: Batch) -> Loss: ...
