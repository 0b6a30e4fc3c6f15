"""Late fusion: the logits of the text and those of the columns are added, and each has a loss of its own.

    logits = f(text) + g(m)        loss = objectives(logits) + S(f(text), y) + S(g(m), y)

S is the supervised loss of the run, with its class weights, label smoothing and annealing; the cross-entropy where the
run has none. Objectives that mix the labeled rows run them once more for it, as they are.
Both are classifiers in their own right, so one that is of no use cannot hide behind the other. g has one hidden layer,
and is zero at first.

Source: late fusion of Snoek et al. 2005, "Early versus Late Fusion in Semantic Video Analysis" (ACM Multimedia), for
the place; they learn a classifier of the scores of classifiers that are trained before, and here a fixed sum is trained
jointly. The sum of logits is the product rule of Kittler et al. 1998, "On Combining Classifiers" (IEEE TPAMI 20(3)),
without its division by the priors: the share of a class counts in both modes.
"""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from text_uda.fusion.join import LEARNING_RATE, ColumnNet, Sizes, check_settings
from text_uda.model.joined_columns import ColumnJoin


@dataclass(frozen=True, kw_only=True)
class Late:
    """The logits of text and columns are added."""

    name: ClassVar[str] = "late"

    learning_rate: float = LEARNING_RATE / 2
    """Peak learning rate of the classifier of the columns."""

    column_dropout: float = 0.0
    """Probability that a column of a labeled row, or of the second view of an unlabeled row, is taken as missing."""

    hidden: int | None = 64
    """Units of the hidden layer of the columns; None for a linear function of them, as a baseline fits it."""

    def __post_init__(self) -> None:
        check_settings(self)

    def module(self, sizes: Sizes) -> "LateJoin":
        return LateJoin(sizes, self.hidden)


class LateJoin(ColumnJoin):
    def __init__(self, sizes: Sizes, hidden: int | None) -> None:
        super().__init__()
        self.of_columns = ColumnNet(sizes, hidden)

    def logits(self, text: Float[Tensor, "B C"], columns: Float[Tensor, "B M"]) -> Float[Tensor, "B C"]:
        return text + self.of_columns(columns).to(text.dtype)

    def logits_of_modes(
        self, text: Float[Tensor, "B C"], columns: Float[Tensor, "B M"]
    ) -> dict[str, Float[Tensor, "B C"]]:
        return {"text_loss": text, "columns_loss": self.of_columns(columns)}
