"""Batches without padding: an encoder's layers run on the tokens of all rows as one long row, with attention per row.

A padded batch is packed before the first layer and unpacked after the last one, so embeddings, positions and heads are
the model's own. transformers calls `packed_attention` by its registered name; a layer called without `segments` attends
as usual. `attention.py` has the ways in which rows attend. Where the lengths are known without asking the GPU, no step
of this waits for it.

On a CPU, oneDNN keeps a program for each number of tokens that it has met, up to gigabytes. So without gradients zeros
fill the tokens up to one of few numbers; see `filled`.

Shapes: B rows, T positions of a padded row, N tokens of all rows, h heads, d width of a head, D width.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import pad
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from text_uda.model.attention import AttentionOptions, choose_attention
from text_uda.model.segments import Segments

NAME = "text_uda_packed"

_TOKENS_OF_A_GRAPH = 128  # the longest row of a CUDA graph is a multiple of it

_packing: ContextVar[bool] = ContextVar("packing", default=False)

# Encoders whose attention uses transformers' interface, and whose layers have no other operation across positions.
_PACKABLE = {"bert", "roberta", "xlm-roberta", "distilbert", "electra", "camembert", "modernbert"}


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
    query, key, value = (token_heads(tensor)[:tokens] for tensor in (query, key, value))
    attended = choose_attention(query, segments, options)(query, key, value, segments, options)
    return (pad(attended, (0, 0, 0, 0, 0, filler)) if filler else attended)[None], None


def token_heads(states: Tensor) -> Tensor:
    """A view (N, h, d) of (1, h, N, d). The gradient of `states[0]` would be copied into zeros."""
    return states.squeeze(0).transpose(0, 1)


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
