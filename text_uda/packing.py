"""Batches without padding: an encoder's layers see the tokens of all rows in one long row, and attention stays in each.

A padded batch is packed where the first layer begins and unpacked where the last one ends, so embeddings, positions and
heads are the model's own. What attends is `packed_attention`, which transformers calls by its name; a layer that is not
given `segments` attends as before.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

NAME = "text_uda_packed"

# Encoders whose attention goes through transformers' interface, and whose layers need nothing else that knows of rows.
_PACKABLE = {"bert", "roberta", "xlm-roberta", "distilbert", "electra", "camembert", "modernbert"}


@dataclass(frozen=True)
class Segments:
    """Where the rows lie: in order of length, those of one length together."""

    places: Tensor  # (N,) int64: which of the B * T places of the padded batch each token had
    positions: Tensor  # (N,) int64: of each token in its row
    groups: tuple[tuple[int, int], ...]  # (rows, tokens each), which sum up to N

    @staticmethod
    def of(mask: Tensor) -> "Segments":
        """From the attention mask of a batch padded on the right, (B, T)."""
        lengths = mask.sum(dim=1)
        order = lengths.argsort(stable=True)
        there = mask.bool()[order]
        rows, positions = there.nonzero(as_tuple=True)
        places = order[rows] * mask.shape[1] + positions
        values, counts = lengths.unique(return_counts=True)
        groups = tuple((rows, tokens) for tokens, rows in zip(values.tolist(), counts.tolist(), strict=True) if tokens)
        return Segments(places, positions, groups)


def pack(model: PreTrainedModel) -> None:
    """Let the encoder do without padding, where it can."""
    if model.config.model_type in _PACKABLE:
        AttentionInterface.register(NAME, packed_attention)
        AttentionMaskInterface.register(NAME, _mask)
        model.set_attn_implementation(NAME)


def _mask(**named: Any) -> Tensor | None:
    """Never left out: rows are mixed across processes, and one whose rows are full has to gather masks all the same."""
    named["allow_is_bidirectional_skip"] = False
    return sdpa_mask(**named)


def is_packed(model: PreTrainedModel) -> bool:
    return model.config._attn_implementation == NAME


@contextmanager
def packed(layers: list[nn.Module], mask: Tensor) -> Iterator[None]:
    """Within this block the layers run on packed rows.

    Args:
        layers: of the encoder, from the first to the last.
        mask: (B, T) int64, padded on the right.
    """
    rows, width = mask.shape
    segments = Segments.of(mask)

    def begin(_layer: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        if "hidden_states" in named:
            return arguments, named | {"hidden_states": together(named["hidden_states"])}
        return (together(arguments[0]), *arguments[1:]), named

    def attend(_layer: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        return tuple(map(fitting, arguments)), {n: fitting(v) for n, v in named.items()} | {"segments": segments}

    def end(_layer: nn.Module, _arguments: Any, output: Any) -> Any:
        return (apart(output[0]), *output[1:]) if isinstance(output, tuple) else apart(output)

    def together(states: Tensor) -> Tensor:  # (B, T, D) -> (1, N, D)
        return states.flatten(0, 1)[segments.places][None]

    def apart(states: Tensor) -> Tensor:  # (1, N, D) -> (B, T, D), zeros where there was no token
        padded = states.new_zeros(rows * width, states.shape[-1])
        return padded.index_copy(0, segments.places, states[0]).view(rows, width, -1)

    def fitting(value: Any) -> Any:
        if isinstance(value, tuple):  # rotary embeddings, (1, T, d) each: those of each token's position
            return tuple(part[:, segments.positions] for part in value)
        return None if isinstance(value, Tensor) and value.ndim == 4 else value  # the attention mask

    with ExitStack() as hooks:
        hooks.callback(layers[0].register_forward_pre_hook(begin, with_kwargs=True).remove)
        for layer in layers:
            hooks.callback(layer.register_forward_pre_hook(attend, with_kwargs=True).remove)
        hooks.callback(layers[-1].register_forward_hook(end).remove)
        yield


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    segments: Segments | None = None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **named: Any,
) -> tuple[Tensor, None]:
    """Attention within each row, (1, heads, N, d) -> (1, N, heads, d)."""
    if segments is None:
        named |= {"sliding_window": sliding_window} if sliding_window is not None else {}
        return sdpa_attention_forward(  # pyright: ignore[reportReturnType]
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **named
        )
    attended, start = [], 0
    for rows, tokens in segments.groups:
        stop = start + rows * tokens
        window = _window(segments.positions[start:stop].view(rows, tokens), sliding_window)
        parts = (whole[0, :, start:stop].unflatten(1, (rows, tokens)).transpose(0, 1) for whole in (query, key, value))
        part = scaled_dot_product_attention(*parts, attn_mask=window, dropout_p=dropout, scale=scaling)
        attended.append(part.transpose(1, 2).flatten(0, 1))  # (rows * tokens, heads, d)
        start = stop
    return torch.cat(attended)[None], None


def _window(positions: Tensor, sliding_window: int | None) -> Tensor | None:
    """Who attends to whom where a layer looks at neighbours alone, (rows, 1, T, T) bool; None where that is everybody.

    Args:
        positions: (rows, T).
    """
    if sliding_window is None:
        return None
    return (positions[:, None, :, None] - positions[:, None, None, :]).abs() < sliding_window
