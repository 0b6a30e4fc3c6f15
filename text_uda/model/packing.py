"""Batches without padding: an encoder's layers run on the tokens of all rows as one long row, with attention per row.

A padded batch is packed before the first layer and unpacked after the last one, so embeddings, positions and heads are
the model's own. transformers calls `packed_attention` by its registered name; a layer called without `segments` attends
as usual. Attention runs

- on a CPU, in one call for all rows of a length;
- on CUDA in 16 bits, in the kernel for rows of any lengths;
- elsewhere, on rows padded for the attention alone: a GPU waits for calls, and attention is a small part of the
  arithmetic (4 T D of 24 D^2 + 4 T D for each token, with T tokens in a row and width D).

Where the lengths are known without asking the GPU, no step of this waits for it.

On a CPU, oneDNN keeps a program for each number of tokens that it has met, up to gigabytes. So without gradients zeros
fill the tokens up to one of few numbers; see `filled`.

Shapes: B rows, T positions of a padded row, N tokens of all rows, h heads, d width of a head, D width.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any, NamedTuple, Protocol

import torch
from jaxtyping import Bool, Float, Int, Int32, Int64, Shaped
from torch import Tensor, nn
from torch.nn.functional import pad, scaled_dot_product_attention
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from text_uda.model.cuda import SIXTEEN_BITS, has_flash_attention
from text_uda.model.keyed_tensors import seeded_torch

log = logging.getLogger("text_uda")

NAME = "text_uda_packed"

_ROWS_OF_A_GRAPH, _TOKENS_OF_A_GRAPH = 16, 128  # the rows of a graph, and its longest row, are multiples of these

_packing: ContextVar[bool] = ContextVar("packing", default=False)

# Encoders whose attention uses transformers' interface, and whose layers have no other operation across positions.
_PACKABLE = {"bert", "roberta", "xlm-roberta", "distilbert", "electra", "camembert", "modernbert"}


@dataclass(frozen=True)
class Segments:
    """The layout of packed tokens: one row after the other, the shortest first."""

    padded_indices: Int64[Tensor, " N"]  # of each token among the B * T positions of the padded batch
    positions: Int64[Tensor, " N"]  # of each token in its padded row
    rows: Int64[Tensor, " N"]  # the row of each token, numbered by length
    lengths: Int64[Tensor, " B"]  # ascending
    width: int  # T, an upper bound of the lengths; the same for many batches where the layers run as graphs
    unbroken: bool = False  # known to have no erased position before the last token of a row
    filler: int = 0  # tokens after the last row, which have rows of their own in `starts`
    as_graph: bool = False  # the layers run as CUDA graphs, of which there should be few shapes

    @staticmethod
    def of(mask: Int[Tensor, "B T"], known_lengths: Sequence[int] | None = None) -> "Segments":
        """The layout of a batch padded on the right, from its attention mask.

        Args:
            known_lengths: the tokens of each row, if they are its first positions: then nothing waits for the GPU.
        """
        lengths, order = mask.sum(dim=1).sort(stable=True)
        if known_lengths is None:
            rows, columns = mask.bool()[order].nonzero(as_tuple=True)
        else:
            tokens = sum(known_lengths)
            rows = torch.arange(len(mask), device=mask.device).repeat_interleave(lengths, output_size=tokens)
            columns = torch.arange(tokens, device=mask.device) - (lengths.cumsum(0) - lengths)[rows]
        unbroken = known_lengths is not None
        return Segments(order[rows] * mask.shape[1] + columns, columns, rows, lengths, mask.shape[1], unbroken)

    @cached_property
    def groups(self) -> list[tuple[int, int]]:
        """(number of rows, tokens of each) for each length; the products sum to N."""
        values, counts = self.lengths.unique_consecutive(return_counts=True)
        return [(rows, tokens) for tokens, rows in zip(values.tolist(), counts.tolist(), strict=True) if tokens]

    @cached_property
    def starts(self) -> Int32[Tensor, " starts"]:
        """The index of the first token of each of the B rows, and N; then of rows of the filler, and of empty ones."""
        starts = pad(self.lengths.cumsum(0), (1, 0))
        tokens = len(self.rows)
        if self.as_graph:
            rows = -(-self.filler // self.width)
            rows += -(len(starts) + rows) % _ROWS_OF_A_GRAPH
            of_filler = tokens + self.width * torch.arange(1, rows + 1, device=starts.device)
            starts = torch.cat([starts, of_filler.clamp(max=tokens + self.filler)])
        return starts.to(torch.int32)

    @cached_property
    def columns(self) -> Int64[Tensor, " N"]:
        """The index of each token among the tokens of its row: its position, less the erased positions before it."""
        return torch.arange(len(self.rows), device=self.rows.device) - self.starts[self.rows]

    @cached_property
    def is_contiguous(self) -> bool:
        """Whether no row has an erased position before its last token."""
        return self.unbroken or torch.equal(self.columns, self.positions)

    @cached_property
    def places(self) -> Int64[Tensor, " N"]:
        """The index of each token among the B * T positions of rows padded for the attention, erased ones left out."""
        return self.rows * self.width + self.columns

    def padded(self, values: Shaped[Tensor, "N ..."]) -> Shaped[Tensor, "B T ..."]:
        """The values of each row, then zeros."""
        rows = len(self.lengths)
        zeros = values.new_zeros(rows * self.width, *values.shape[1:])
        return zeros.index_copy(0, self.places, values).unflatten(0, (rows, self.width))

    def padded_mask(self, sliding_window: int | None) -> Bool[Tensor, "B 1 Q T"]:
        """Which positions attend to which, for `padded`; the same for all layers with this window."""
        if sliding_window not in self._masks:
            is_token = torch.arange(self.width, device=self.rows.device) < self.lengths[:, None]  # (B, T)
            is_token = is_token[:, None, None]
            window = _window_mask(self.padded(self.positions), sliding_window)
            mask = is_token if window is None else is_token & window
            # A row without tokens attends to padding: no empty softmax.
            self._masks[sliding_window] = mask | ~is_token.any(dim=-1, keepdim=True)
        return self._masks[sliding_window]

    @cached_property
    def _masks(self) -> dict[int | None, Tensor]:
        return {}


def pack(model: PreTrainedModel) -> None:
    """Make the encoder run without padding, if its type is supported."""
    if model.config.model_type in _PACKABLE and not getattr(model.config, "is_decoder", False):
        AttentionInterface.register(NAME, packed_attention)
        AttentionMaskInterface.register(NAME, _mask)
        model.set_attn_implementation(NAME)


def _mask(**named: Any) -> Tensor | None:
    """None on packed rows; elsewhere always a mask.

    When rows are mixed across processes, a process without padding has to gather masks too.
    """
    if _packing.get():
        return None
    named["allow_is_bidirectional_skip"] = False
    return sdpa_mask(**named)


class ReplaysGraphs(Protocol):
    """The `forward` of a layer that can replay a CUDA graph; see `compiled_layers`."""

    def can_replay(self) -> bool: ...

    def watched(self, output: Tensor) -> Tensor: ...


def _graph(layers: list[nn.Module], segments: Segments) -> ReplaysGraphs | None:
    """The first layer's `forward`, if the layers run this pass as graphs: nothing of it may ask the GPU for a value."""
    forward: Any = layers[0].forward
    can_replay = hasattr(forward, "can_replay") and segments.unbroken and forward.can_replay()
    return forward if can_replay else None


def is_packed(model: PreTrainedModel) -> bool:
    return model.config._attn_implementation == NAME


@contextmanager
def packed(
    layers: list[nn.Module], mask: Int[Tensor, "B T"], known_lengths: Sequence[int] | None = None
) -> Iterator[None]:
    """A block in which the layers run on packed rows.

    Args:
        layers: all layers of the encoder, in order.
        mask: the attention mask of rows padded on the right.
        known_lengths: see `Segments.of`.
    """
    rows, width = mask.shape
    segments = Segments.of(mask, known_lengths)
    tokens = len(segments.rows)
    graph = _graph(layers, segments)
    filler = filled(tokens) - tokens if graph or (mask.device.type == "cpu" and _by_onednn()) else 0
    if graph:
        few_widths = -(-width // _TOKENS_OF_A_GRAPH) * _TOKENS_OF_A_GRAPH
        segments = replace(segments, filler=filler, as_graph=True, width=few_widths)
        _ = segments.starts  # computed before the graph, which reads it

    def pack_input(_layer: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        if "hidden_states" in named:
            return arguments, named | {"hidden_states": pack_states(named["hidden_states"])}
        return (pack_states(arguments[0]), *arguments[1:]), named

    def pack_arguments(_layer: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        packed_named = {name: pack_argument(value) for name, value in named.items()}
        return tuple(map(pack_argument, arguments)), packed_named | {"segments": segments}

    def unpack_output(_layer: nn.Module, _arguments: Any, output: Any) -> Any:
        return (unpack_states(output[0]), *output[1:]) if isinstance(output, tuple) else unpack_states(output)

    def pack_states(states: Float[Tensor, "B T D"]) -> Float[Tensor, "1 N D"]:
        return pad(states.flatten(0, 1)[segments.padded_indices], (0, 0, 0, filler))[None]

    def unpack_states(states: Float[Tensor, "1 N D"]) -> Float[Tensor, "B T D"]:  # zeros at padding
        zeros = states.new_zeros(rows * width, states.shape[-1])
        padded = zeros.index_copy(0, segments.padded_indices, states[0, :tokens])
        if graph:
            padded = graph.watched(padded)
        return padded.view(rows, width, -1)

    def pack_argument(value: Any) -> Any:
        if isinstance(value, tuple):  # rotary embeddings, (1, T, d) each: select each token's position
            return tuple(pad(part[:, segments.positions], (0, 0, 0, filler)) for part in value)
        return None if isinstance(value, Tensor) and value.ndim == 4 else value  # no attention mask

    with ExitStack() as hooks:
        hooks.callback(_packing.reset, _packing.set(True))
        hooks.callback(layers[0].register_forward_pre_hook(pack_input, with_kwargs=True).remove)
        for layer in layers:
            hooks.callback(layer.register_forward_pre_hook(pack_arguments, with_kwargs=True).remove)
        hooks.callback(layers[-1].register_forward_hook(unpack_output).remove)
        yield


def packed_attention(
    module: nn.Module,
    query: Float[Tensor, "B h N d"],
    key: Float[Tensor, "B h N d"],
    value: Float[Tensor, "B h N d"],
    attention_mask: Tensor | None,
    *,
    segments: Segments | None = None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **named: Any,
) -> tuple[Float[Tensor, "B N h d"], None]:
    """Attention within each row; with `segments`, B is 1 and N the tokens of all rows, and what fills them up."""
    if segments is None:
        named |= {"sliding_window": sliding_window} if sliding_window is not None else {}
        return sdpa_attention_forward(  # pyright: ignore[reportReturnType]
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **named
        )
    options = AttentionOptions(dropout, scaling, sliding_window)
    tokens, filler = len(segments.rows), query.shape[2] - len(segments.rows)
    query, key, value = (tensor[0, :, :tokens].transpose(0, 1) for tensor in (query, key, value))  # (N, h, d) each
    attended = _choose_attention(query, segments, options)(query, key, value, segments, options)
    return pad(attended, (0, 0, 0, 0, 0, filler))[None], None


def filled(tokens: int) -> int:
    """The number of tokens that a product gets for `tokens`: at most 15 more, or 3.2%.

    There are 32 such numbers up to 512, and 32 from each power of two to the next.
    """
    step = max(16, 2 ** (tokens.bit_length() - 6))
    return -(-tokens // step) * step


def _by_onednn() -> bool:
    """Whether products on a CPU can run in bf16 or from packed weights (see `fused_linear`), as oneDNN does them.

    Training in bf16 is left out, though it has such products: a mask of dropout would be drawn for what fills up, and
    the masks of all layers after it would be other ones than in fp32.
    """
    return torch.is_inference_mode_enabled()


class AttentionOptions(NamedTuple):
    """The options that a layer passes to its attention."""

    dropout: float
    scaling: float | None
    sliding_window: int | None


Heads = Float[Tensor, "N h d"]
"""Queries, keys, values or results of the attention: a vector for each token and head."""

Attention = Callable[[Heads, Heads, Heads, Segments, AttentionOptions], Heads]
"""An implementation of attention within each row: of query, key and value."""


def _choose_attention(query: Tensor, segments: Segments, options: AttentionOptions) -> Attention:
    if query.device.type == "cpu":
        return attend_by_length
    exact_window = options.sliding_window is None or segments.is_contiguous
    return attend_varlen if fits_kernel(query) and kernel_works(query.device) and exact_window else attend_padded


def fits_kernel(query: Tensor) -> bool:
    width = query.shape[-1]
    return query.device.type == "cuda" and width % 8 == 0 and width <= 192 and query.dtype in SIXTEEN_BITS


@cache
def kernel_works(device: torch.device) -> bool:
    """Whether the kernel runs on this GPU, forward and backward, and agrees with padded rows.

    It has no public name with dropout, so a version of PyTorch may change it: one small call, once in a process.
    """
    if not has_flash_attention(device):
        return False
    plain = torch.inference_mode(False), torch.enable_grad(), torch.autocast(device.type, enabled=False)
    with ExitStack() as contexts:
        for context in (*plain, seeded_torch(0)):
            contexts.enter_context(context)
        segments = Segments.of(torch.tensor([[1, 1, 1], [1, 0, 0]], device=device), [3, 1])
        query, key, value = torch.randn(3, 4, 2, 32, device=device, dtype=torch.bfloat16).unbind()
        query.requires_grad_()
        try:
            by_kernel, expected = (
                attend(query, key, value, segments, AttentionOptions(0.0, None, None))
                for attend in (attend_varlen, attend_padded)
            )
            dropped = attend_varlen(query, key, value, segments, AttentionOptions(0.5, None, None))
            (gradient,) = torch.autograd.grad(dropped.sum(), query)
            works = bool((by_kernel - expected).abs().max() < 0.05) and bool(gradient.isfinite().all())
        except (RuntimeError, TypeError, ValueError) as error:
            works, reason = False, " ".join(str(error).split())
        else:
            reason = "its results are wrong"
    if not works:
        log.warning("attention runs on padded rows: PyTorch's kernel for rows of any lengths fails here (%s)", reason)
    return works


def attend_by_length(query: Heads, key: Heads, value: Heads, segments: Segments, options: AttentionOptions) -> Heads:
    """One call for the rows of each length, without padding."""
    attended, start = [], 0
    for rows, tokens in segments.groups:
        stop = start + rows * tokens
        window = _window_mask(segments.positions[start:stop].view(rows, tokens), options.sliding_window)
        parts = (tensor[start:stop].unflatten(0, (rows, tokens)).transpose(1, 2) for tensor in (query, key, value))
        part = scaled_dot_product_attention(*parts, attn_mask=window, dropout_p=options.dropout, scale=options.scaling)
        attended.append(part.transpose(1, 2).flatten(0, 1))  # (rows * tokens, h, d)
        start = stop
    return torch.cat(attended)


def attend_padded(query: Heads, key: Heads, value: Heads, segments: Segments, options: AttentionOptions) -> Heads:
    """One call for all rows, padded on the right."""
    mask = segments.padded_mask(options.sliding_window)
    parts = (segments.padded(tensor).transpose(1, 2) for tensor in (query, key, value))
    attended = scaled_dot_product_attention(*parts, attn_mask=mask, dropout_p=options.dropout, scale=options.scaling)
    return attended.transpose(1, 2).flatten(0, 1)[segments.places]


def attend_varlen(query: Heads, key: Heads, value: Heads, segments: Segments, options: AttentionOptions) -> Heads:
    """The kernel for rows of any lengths that PyTorch's nested tensors call: on CUDA, in 16 bits.

    `torch.nn.attention.varlen` calls it too, since 2.10, and has no dropout. Its sliding window counts tokens, not
    positions, so with a window no position may be erased.
    """
    reach = -1 if options.sliding_window is None else options.sliding_window - 1
    starts, width = segments.starts, segments.width
    return torch.ops.aten._flash_attention_forward(
        query, key, value, starts, starts, width, width, options.dropout, False, False,
        scale=options.scaling, window_size_left=reach, window_size_right=reach,
    )[0]  # fmt: skip


def _window_mask(positions: Int[Tensor, "B T"], sliding_window: int | None) -> Bool[Tensor, "B 1 T T"] | None:
    """True where a position attends to another under a sliding window; None without a window."""
    if sliding_window is None:
        return None
    return (positions[:, None, :, None] - positions[:, None, None, :]).abs() < sliding_window
