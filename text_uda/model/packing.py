"""Batches without padding: an encoder's layers see the tokens of all rows in one long row, and attention stays in each.

A padded batch is packed where the first layer begins and unpacked where the last one ends, so embeddings, positions and
heads are the model's own. What attends is `packed_attention`, which transformers calls by its name; a layer that is not
given `segments` attends as before. It attends

- on a CPU by one call for all rows of a length;
- on CUDA in 16 bits by the kernel for variable lengths, which has no dropout;
- elsewhere, and with dropout, on rows that are padded for the attention alone: a GPU waits for calls, and attention is
  a small part of the arithmetic (4 T D of 24 D^2 + 4 T D a token, for T tokens a row and width D).
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, scaled_dot_product_attention
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

NAME = "text_uda_packed"

_packing: ContextVar[bool] = ContextVar("packing", default=False)

# Encoders whose attention goes through transformers' interface, and whose layers need nothing else that knows of rows.
_PACKABLE = {"bert", "roberta", "xlm-roberta", "distilbert", "electra", "camembert", "modernbert"}


@dataclass(frozen=True)
class Segments:
    """Where the tokens of B rows lie: the rows in order of length, each as one piece."""

    places: Tensor  # (N,) int64: which of the B * T places of the padded batch each token had
    positions: Tensor  # (N,) int64: of each token in its row
    rows: Tensor  # (N,) int64: the row of each token, numbered in order of length
    lengths: Tensor  # (B,) int64, rising
    width: int  # T, which no length exceeds

    @staticmethod
    def of(mask: Tensor) -> "Segments":
        """From the attention mask of a batch padded on the right, (B, T)."""
        lengths, order = mask.sum(dim=1).sort(stable=True)
        there = mask.bool()[order]
        rows, columns = there.nonzero(as_tuple=True)
        return Segments(order[rows] * mask.shape[1] + columns, columns, rows, lengths, mask.shape[1])

    @cached_property
    def groups(self) -> list[tuple[int, int]]:
        """(rows, tokens each) of the rows that have one length; they sum up to N."""
        values, counts = self.lengths.unique_consecutive(return_counts=True)
        return [(rows, tokens) for tokens, rows in zip(values.tolist(), counts.tolist(), strict=True) if tokens]

    @cached_property
    def starts(self) -> Tensor:
        """Where each row begins, and where the last one ends, (B + 1,) int32."""
        return pad(self.lengths.cumsum(0), (1, 0)).to(torch.int32)

    @cached_property
    def columns(self) -> Tensor:
        """Of each token among those of its row, (N,) int64: its position, less the places before it that are empty."""
        return torch.arange(len(self.rows), device=self.rows.device) - self.starts[self.rows]

    @cached_property
    def whole(self) -> bool:
        """Whether no token before the last one of its row was erased."""
        return torch.equal(self.columns, self.positions)


def pack(model: PreTrainedModel) -> None:
    """Let the encoder do without padding, where it can."""
    if model.config.model_type in _PACKABLE:
        AttentionInterface.register(NAME, packed_attention)
        AttentionMaskInterface.register(NAME, _mask)
        model.set_attn_implementation(NAME)


def _mask(**named: Any) -> Tensor | None:
    """None on packed rows. Elsewhere never left out: where rows are mixed across processes, one whose rows are full has
    to gather masks all the same."""
    if _packing.get():
        return None
    named["allow_is_bidirectional_skip"] = False
    return sdpa_mask(**named)


def compile_layers(layers: list[nn.Module], *, backend: str = "inductor") -> None:
    """Run the layers compiled, for any number of tokens; attention, whose calls follow the lengths, stays as it is.

    A copy of a layer made afterwards would run the layer that it was copied from: copy first.
    """
    AttentionInterface.register(NAME, torch.compiler.disable(packed_attention))
    for layer in layers:
        layer.forward = torch.compile(layer.forward, dynamic=True, backend=backend)


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
        hooks.callback(_packing.reset, _packing.set(True))
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
    asked = Asked(dropout, scaling, sliding_window)
    query, key, value = (whole[0].transpose(0, 1) for whole in (query, key, value))  # (N, heads, d) each
    return _how(query, segments, asked)(query, key, value, segments, asked)[None], None


class Asked(NamedTuple):
    """What a layer asks of its attention."""

    dropout: float
    scaling: float | None
    sliding_window: int | None


Attend = Callable[[Tensor, Tensor, Tensor, Segments, Asked], Tensor]
"""A way to attend within each row: query, key and value, (N, heads, d) each -> (N, heads, d)."""


def _how(query: Tensor, segments: Segments, asked: Asked) -> Attend:
    if query.device.type == "cpu":
        return attend_by_length
    in_half = query.dtype in (torch.float16, torch.bfloat16)
    capable = query.device.type == "cuda" and torch.cuda.get_device_capability(query.device)[0] >= 8
    near = asked.sliding_window is None or segments.whole
    return attend_at_once if capable and in_half and asked.dropout == 0 and near else attend_padded


def attend_by_length(query: Tensor, key: Tensor, value: Tensor, segments: Segments, asked: Asked) -> Tensor:
    """One call for the rows of each length; nothing is padded."""
    attended, start = [], 0
    for rows, tokens in segments.groups:
        stop = start + rows * tokens
        window = _window(segments.positions[start:stop].view(rows, tokens), asked.sliding_window)
        parts = (whole[start:stop].unflatten(0, (rows, tokens)).transpose(1, 2) for whole in (query, key, value))
        part = scaled_dot_product_attention(*parts, attn_mask=window, dropout_p=asked.dropout, scale=asked.scaling)
        attended.append(part.transpose(1, 2).flatten(0, 1))  # (rows * tokens, heads, d)
        start = stop
    return torch.cat(attended)


def attend_padded(query: Tensor, key: Tensor, value: Tensor, segments: Segments, asked: Asked) -> Tensor:
    """One call for all rows, which are padded on the right for it."""
    rows, width = len(segments.lengths), segments.width
    at = segments.rows * width + segments.columns  # (N,) places among rows * width

    def padded(values: Tensor) -> Tensor:  # (N, ...) -> (rows, width, ...)
        zeros = values.new_zeros(rows * width, *values.shape[1:])
        return zeros.index_copy(0, at, values).unflatten(0, (rows, width))

    there = padded(torch.ones_like(segments.rows, dtype=torch.bool))[:, None, None]  # (rows, 1, 1, width)
    window = _window(padded(segments.positions), asked.sliding_window)
    parts = (padded(whole).transpose(1, 2) for whole in (query, key, value))
    mask = there if window is None else there & window
    mask = mask | ~there.any(dim=-1, keepdim=True)  # without a token, to padding: there is no softmax of nothing
    attended = scaled_dot_product_attention(*parts, attn_mask=mask, dropout_p=asked.dropout, scale=asked.scaling)
    return attended.transpose(1, 2).flatten(0, 1)[at]


def attend_at_once(query: Tensor, key: Tensor, value: Tensor, segments: Segments, asked: Asked) -> Tensor:
    """PyTorch's kernel for rows of any lengths: without dropout, in 16 bits, on CUDA.

    It counts neighbours among the tokens that are there, so with a sliding window no token may be erased.
    """
    from torch.nn.attention.varlen import varlen_attn

    assert asked.dropout == 0, "the kernel has no dropout"
    near = -1 if asked.sliding_window is None else asked.sliding_window - 1
    at, most = segments.starts, segments.width
    attended = varlen_attn(query, key, value, at, at, most, most, scale=asked.scaling, window_size=(near, near))
    return attended  # pyright: ignore[reportReturnType]


def _window(positions: Tensor, sliding_window: int | None) -> Tensor | None:
    """Who attends to whom where a layer looks at neighbours alone, (rows, 1, T, T) bool; None where that is everybody.

    Args:
        positions: (rows, T).
    """
    if sliding_window is None:
        return None
    return (positions[:, None, :, None] - positions[:, None, None, :]).abs() < sliding_window
