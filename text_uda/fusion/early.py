"""Early fusion: the columns join where the trained layers begin.

    h_t <- h_t + W m        for each token t, at the input of the first trained layer

With `tune="all"` that is the input of the first layer; with `last:N` that of layer L - N, below which nothing could
learn from the columns, and no gradient has to pass; with `head` the features, which are then computed once. W is zero
at first, so the logits are those of the text.

Source: Barnum et al. 2020, "On the Benefits of Early Fusion in Multimodal Representation Learning" (arXiv 2011.07191),
for the place, the first layer. Their network is a convolutional LSTM of sound and image; the sum with a projection, and
the first *trained* layer, are of this package.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad
from transformers import PreTrainedModel

from text_uda.fusion.join import LEARNING_RATE, Sizes, check_settings, zero_linear
from text_uda.model.classifier import layers
from text_uda.model.joined_columns import ColumnJoin
from text_uda.model.segments import Segments


@dataclass(frozen=True, kw_only=True)
class Early:
    """A projection of the columns is added to the states of all tokens where the trained layers begin."""

    name: ClassVar[str] = "early"

    learning_rate: float = LEARNING_RATE
    """Peak learning rate of the projection."""

    column_dropout: float = 0.0
    """Probability that a column of a labeled row, or of the second view of an unlabeled row, is taken as missing."""

    def __post_init__(self) -> None:
        check_settings(self)

    def module(self, sizes: Sizes) -> "EarlyJoin":
        return EarlyJoin(sizes)


class EarlyJoin(ColumnJoin):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.layer = sizes.layer
        self.projection = zero_linear(sizes.columns, sizes.width)

    @property
    def joins_features(self) -> bool:
        return self.layer is None

    def joins_before(self, layer: int) -> bool:
        return self.layer is not None and self.layer < layer

    def features(self, features: Float[Tensor, "B D"], columns: Float[Tensor, "B M"]) -> Float[Tensor, "B D"]:
        return features + self.projection(columns).to(features.dtype)

    @contextmanager
    def joined(self, model: PreTrainedModel, columns: Float[Tensor, "B M"]) -> Iterator[None]:
        if self.layer is None:
            yield
            return
        projected = self.projection(columns)  # (B, D)

        def join(_layer: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
            segments = named.get("segments")
            if "hidden_states" in named:
                return arguments, named | {"hidden_states": _added(named["hidden_states"], projected, segments)}
            return (_added(arguments[0], projected, segments), *arguments[1:]), named

        hook = layers(model)[self.layer].register_forward_pre_hook(join, with_kwargs=True)
        try:
            yield
        finally:
            hook.remove()


def _added(
    states: Float[Tensor, "R S D"], projected: Float[Tensor, "B D"], segments: Segments | None
) -> Float[Tensor, "R S D"]:
    """The states with the projection of their row: padded rows, (B, T, D), or packed ones, (1, N, D)."""
    projected = projected.to(states.dtype)
    if segments is None:
        return states + projected[:, None]
    of_tokens = projected[segments.padded_indices // segments.width]
    return states + pad(of_tokens, (0, 0, 0, states.shape[1] - len(of_tokens)))[None]
