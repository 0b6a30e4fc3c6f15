"""What an objective reads in a training step, declared so that the step computes nothing that no objective needs."""

from collections.abc import Iterable
from dataclasses import Field, dataclass, fields
from typing import Any, Literal, get_args

View = Literal["labeled", "labeled again", "original", "second"]
"""Rows of the joint forward, which runs with gradient and dropout. "labeled again" is the labeled rows with other
dropout. "second" is the augmented view of the unlabeled rows; without an augmentation, the original view with other
dropout."""


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What an objective reads in a training step."""

    views: tuple[View, ...] = ()
    """Outputs of the joint forward, with gradient."""

    rows: tuple[View, ...] = ()
    """Rows of the batch that the objective runs through the model itself. With "labeled" among them it includes a
    labeled loss."""

    targets: bool = False
    """Logits of the original view, without gradient."""

    teacher: bool = False
    """Logits of the original view by the averaged weights (EMA), without gradient."""

    augmentation: bool = False
    """The second view must be an augmented text; other dropout is not enough."""

    embeddings: bool = False
    """The model must accept embeddings in place of token ids."""

    hidden: bool = False
    """The logits must be a linear layer of one hidden vector a row."""

    no_head_gradient: bool = False
    """The loss has no gradient for the last linear layer: some weights below it must be trained, and another objective
    must train the layer."""

    layers: bool = False
    """The list of the model's layers must be known."""

    @property
    def second_view(self) -> bool:
        """Whether the second view of the unlabeled rows is read."""
        return "second" in self.views or "second" in self.rows

    @property
    def unlabeled_rows(self) -> bool:
        """Whether any view of the unlabeled rows is read."""
        unlabeled = {"original", "second"} & {*self.views, *self.rows}
        return bool(unlabeled) or self.targets or self.teacher


def merged(needs: Iterable[Needs]) -> Needs:
    """Everything that any of them needs; views and rows in the order of `View`."""
    needs = list(needs)

    def merge(field: Field[Any]) -> Any:
        values = [getattr(need, field.name) for need in needs]
        if isinstance(field.default, tuple):
            return tuple(view for view in get_args(View) if any(view in views for views in values))
        return any(values)

    return Needs(**{field.name: merge(field) for field in fields(Needs)})
