"""Intermediate fusion: the columns join at the input of the last linear layer, through a gate.

    h <- h + sigmoid(W_g [h; m] + b) * W_m m

W_m is zero at first, so the logits are those of the text; the gate lets a row take less of its columns where the text
says enough.

Source: the bimodal unit of Arevalo et al. 2017, "Gated Multimodal Units for Information Fusion" (arXiv 1702.01992),
Section 3.1: z * tanh(W_v v) + (1 - z) * tanh(W_t t) with the gate z. Here h stands without a gate or a tanh, because
either would change the logits of the text; so the columns have no tanh, and the gate reads m itself, with a bias.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel

from text_uda.fusion.join import LEARNING_RATE, Sizes, check_settings, zero_linear
from text_uda.model.joined_columns import ColumnJoin, last_linear


@dataclass(frozen=True, kw_only=True)
class Intermediate:
    """A gated projection of the columns is added to the vector that the last linear layer reads."""

    name: ClassVar[str] = "intermediate"

    learning_rate: float = LEARNING_RATE
    """Peak learning rate of projection and gate."""

    column_dropout: float = 0.0
    """Probability that a column of a labeled row, or of the second view of an unlabeled row, is taken as missing."""

    def __post_init__(self) -> None:
        check_settings(self)

    def module(self, sizes: Sizes) -> "IntermediateJoin":
        return IntermediateJoin(sizes)


class IntermediateJoin(ColumnJoin):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.projection = zero_linear(sizes.columns, sizes.head_width)
        self.gate = zero_linear(sizes.head_width + sizes.columns, sizes.head_width, bias=True)

    @contextmanager
    def joined(self, model: PreTrainedModel, columns: Float[Tensor, "B M"]) -> Iterator[None]:
        def join(_layer: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
            hidden = arguments[0]  # (B, H)
            gate = self.gate(torch.cat([hidden, columns.to(hidden.dtype)], dim=-1)).sigmoid()
            return hidden + (gate * self.projection(columns)).to(hidden.dtype), *arguments[1:]

        # Before a hook that reads the vector, such as that of `Classifier`.
        hook = last_linear(model).register_forward_pre_hook(join, prepend=True)
        try:
            yield
        finally:
            hook.remove()
