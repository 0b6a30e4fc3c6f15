"""What a method reads of a step: declared by each, so that the step makes nothing that no method needs."""

from dataclasses import dataclass
from typing import Literal

View = Literal["labeled", "labeled again", "original", "second"]
"""Rows of the joint forward, which is made with gradient and dropout. "labeled again" are the labeled rows with another
dropout; "second" is the augmented view of the unlabeled rows, or, without an augmentation, the original one with
another dropout."""


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What an objective reads of a step. The step makes nothing that no objective needs."""

    views: tuple[View, ...] = ()
    """Outputs with gradient."""

    targets: bool = False
    """Logits of the original view without gradient."""

    teacher: bool = False
    """Logits of the original view by the averaged weights (EMA), without gradient."""

    labeled: bool = False
    """Labeled rows, which it runs itself: it has a labeled loss of its own."""

    unlabeled: bool = False
    """Unlabeled rows, which it runs itself."""

    second: bool = False
    """Rows of the second view, which it runs itself."""

    augmentation: bool = False
    """A second view that differs in its text, not in its dropout alone."""

    embeddings: bool = False
    """A model that takes embeddings in the place of tokens."""

    hidden: bool = False
    """A model whose logits are a linear layer of one vector a row."""

    trained_hidden: bool = False
    """Trained weights below that vector: it trains them alone, and leaves the last linear layer to other objectives."""

    layers: bool = False
    """A model whose layers are known."""

    @property
    def second_view(self) -> bool:
        """A second view of the unlabeled rows, in whatever way it is read."""
        return "second" in self.views or self.second or self.augmentation

    @property
    def unlabeled_rows(self) -> bool:
        """Unlabeled rows at all."""
        return "original" in self.views or self.targets or self.teacher or self.unlabeled or self.second_view
