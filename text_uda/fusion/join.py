"""What every fusion is: settings, a frozen dataclass, that make a module for a model.

Shapes: B rows, T tokens, D width of the features, H of the input of the last linear layer, C classes, M columns.
"""

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel

from text_uda.errors import SettingsError


@dataclass(frozen=True)
class Sizes:
    """Sizes of a model, which decide the shapes of the weights of a fusion."""

    width: int  # D
    head_width: int  # H
    classes: int  # C
    columns: int  # M
    layer: int | None
    """The first layer that is trained, from 0; None if no layer is."""


class FusionModule(nn.Module):
    """A fusion that changes nothing; see `text_uda.model.joined_columns.Fusing`."""

    joins_features = False

    def joins_before(self, layer: int) -> bool:
        return False

    def features(self, features: Float[Tensor, "B D"], columns: Float[Tensor, "B M"]) -> Float[Tensor, "B D"]:
        return features

    @contextmanager
    def joined(self, model: PreTrainedModel, columns: Float[Tensor, "B M"]) -> Iterator[None]:
        yield

    def logits(self, text: Float[Tensor, "B C"], columns: Float[Tensor, "B M"]) -> Float[Tensor, "B C"]:
        return text


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
    def module(self, sizes: Sizes) -> FusionModule: ...


def check_settings(fusion: Fusion) -> None:
    """Raise SettingsError for a setting out of its range."""
    check_learning(fusion.learning_rate, fusion.column_dropout)
    if (hidden := getattr(fusion, "hidden", 1)) < 1:
        raise SettingsError(f"hidden={hidden}: give 1 unit or more")


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
    """Logits of the columns alone, with one hidden layer; zeros at first."""

    def __init__(self, sizes: Sizes, hidden: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(sizes.columns, hidden)
        self.output = zero_linear(hidden, sizes.classes, bias=True)

    def forward(self, columns: Float[Tensor, "B M"]) -> Float[Tensor, "B C"]:
        return self.output(torch.relu(self.hidden(columns)))
