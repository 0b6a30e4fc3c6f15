"""What every fusion is: settings, a frozen dataclass, that make a module for a model, its `ColumnJoin`.

Shapes: B rows, T tokens, D width of the features, H of the input of the last linear layer, C classes, M columns.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from text_uda.errors import SettingsError
from text_uda.model.joined_columns import ColumnJoin

LEARNING_RATE = 2e-4
"""Peak learning rate of the weights that join columns with a text; half of it for `Late`, whose columns have a hidden
layer and a loss of their own.

Chosen by development errors alone: 2,000 rows of the training side of `wordnet-14`, six seeds that no table has, a head
on features, labels alone. In points against the text, with columns and with those of other rows:

            labels    1e-4          2e-4          3e-4          5e-4
    early      140    -1.2  -0.4    -1.5  +0.1    -1.0  +1.0    -0.3  +3.0
    early    1,400    -0.8  -0.2    -1.2  -0.3    -1.2   0.0    -1.2  +0.2
    late       140    -1.4  -0.1    -1.2  +1.3    +0.4  +3.6    +3.1  +8.9
    late     1,400    -0.8  -0.6    -1.4  -0.6    -1.4  -0.5    -1.5  -0.2

A linear head has a penalty, which is strong where few labels are, and the columns have none: at larger rates they soon
outweigh the text.
"""


@dataclass(frozen=True)
class Sizes:
    """Sizes of a model, which decide the shapes of the weights of a fusion."""

    width: int  # D
    head_width: int  # H
    classes: int  # C
    columns: int  # M
    layer: int | None
    """The first layer that is trained, from 0; None if no layer is."""


@runtime_checkable
class ModeLosses(Protocol):
    """A fusion whose modes each have a supervised loss beside the losses of the objectives."""

    def logits_of_modes(
        self, text: Float[Tensor, "B C"], columns: Float[Tensor, "B M"]
    ) -> dict[str, Float[Tensor, "B C"]]:
        """The logits of each mode, by the name of its loss."""
        ...


class Fusion(Protocol):
    """Settings of a fusion."""

    name: ClassVar[str]

    @property
    def learning_rate(self) -> float: ...
    @property
    def column_dropout(self) -> float: ...

    @abstractmethod
    def module(self, sizes: Sizes) -> ColumnJoin: ...


def check_settings(fusion: Fusion) -> None:
    """Raise SettingsError for a setting out of its range."""
    check_learning(fusion.learning_rate, fusion.column_dropout)
    hidden = getattr(fusion, "hidden", None)
    if hidden is not None and hidden < 1:
        raise SettingsError(f"hidden={hidden}: give 1 unit or more, or None for a linear layer")


def check_learning(learning_rate: float, column_dropout: float) -> None:
    """Raise SettingsError for a learning rate or a share out of its range."""
    if not learning_rate > 0:
        raise SettingsError(f"learning_rate={learning_rate}: give a number above 0")
    if not 0 <= column_dropout < 1:
        raise SettingsError(f"column_dropout={column_dropout}: give a share from 0, below 1")


def zero_linear(inputs: int, outputs: int, *, bias: bool = False) -> nn.Linear:
    """A linear layer of zeros: it adds nothing at first, and gets a gradient at once."""
    layer = nn.Linear(inputs, outputs, bias=bias)
    nn.init.zeros_(layer.weight)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


class ColumnNet(nn.Module):
    """Logits of the columns alone, with one hidden layer or, for None, linear; zeros at first."""

    def __init__(self, sizes: Sizes, hidden: int | None) -> None:
        super().__init__()
        self.hidden = None if hidden is None else nn.Linear(sizes.columns, hidden)
        self.output = zero_linear(sizes.columns if hidden is None else hidden, sizes.classes, bias=True)

    def forward(self, columns: Float[Tensor, "B M"]) -> Float[Tensor, "B C"]:
        return self.output(columns if self.hidden is None else torch.relu(self.hidden(columns)))

    @torch.no_grad()
    def set_linear(self, weight: Float[Tensor, "C M"], bias: Float[Tensor, " C"]) -> None:
        """Set a linear function of the columns."""
        assert self.hidden is None
        self.output.weight.copy_(weight)
        self.output.bias.copy_(bias)
