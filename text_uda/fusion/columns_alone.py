"""The columns without the text: what they are worth by themselves."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from text_uda.fusion.join import ColumnNet, Sizes, check_settings
from text_uda.model.joined_columns import ColumnJoin


@dataclass(frozen=True, kw_only=True)
class ColumnsAlone:
    """The classifier of the columns of `Late`, without the text."""

    name: ClassVar[str] = "columns"

    learning_rate: float = 3e-3
    """Peak learning rate of the classifier of the columns; larger than beside a text, whose loss the columns share.
    Chosen with `text_uda.fusion.join.LEARNING_RATE`."""

    column_dropout: float = 0.0
    """Probability that a column of a labeled row, or of the second view of an unlabeled row, is taken as missing."""

    hidden: int | None = 64
    """Units of the hidden layer of the columns; None for a linear function of them, as a baseline fits it."""

    def __post_init__(self) -> None:
        check_settings(self)

    def module(self, sizes: Sizes) -> "ColumnsJoin":
        return ColumnsJoin(sizes, self.hidden)


class ColumnsJoin(ColumnJoin):
    def __init__(self, sizes: Sizes, hidden: int | None) -> None:
        super().__init__()
        self.of_columns = ColumnNet(sizes, hidden)

    def logits(self, text: Float[Tensor, "B C"], columns: Float[Tensor, "B M"]) -> Float[Tensor, "B C"]:
        return 0 * text + self.of_columns(columns).to(text.dtype)  # every trained weight keeps a gradient
