"""MarianMT's encoder and decoder for fast decoding: fused projections, cached keys and values, removable rows.

It computes the function of transformers' MarianMTModel (Junczys-Dowmunt et al. 2018, arXiv 1804.00344; a post-norm
Transformer, Vaswani et al. 2017) with its weights. Shapes: B sources, R rows in decoding (several per source), S source
tokens, T tokens so far, H heads, D width, V vocabulary.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import MarianMTModel

from text_uda.model.cuda import SIXTEEN_BITS, attend_by_products, product_in_float32
from text_uda.translate.int8_linear import Int8Linear
from text_uda.translate.token_sampling import BLOCK

Precision = Literal["float32", "bfloat16", "float16", "int8"]
_MANY_ROWS = 1024  # from here on two products are faster than an attention kernel, which is made for many queries
_INITIAL_CAPACITY = 32  # tokens of the key cache; doubled when it is full


class _Norm(NamedTuple):
    weight: Tensor
    bias: Tensor
    eps: float

    def __call__(self, hidden: Tensor) -> Tensor:
        return F.layer_norm(hidden, self.weight.shape, self.weight, self.bias, self.eps)


class _Linear(NamedTuple):
    weight: Tensor
    bias: Tensor

    def __call__(self, hidden: Tensor) -> Tensor:
        return F.linear(hidden, self.weight, self.bias)


@dataclass
class Memory:
    """The cross-attention keys and values of the sources, computed once."""

    keys: list[Tensor]  # of each layer (B, H, S, D/H)
    values: list[Tensor]
    mask: Tensor | None  # (B, 1, 1, S), true at tokens; None without padding

    def take(self, rows: Tensor) -> "Memory":  # (R,) the source of each row
        mask = None if self.mask is None else self.mask[rows]
        return Memory([keys[rows] for keys in self.keys], [values[rows] for values in self.values], mask)


@dataclass
class State:
    """Partly decoded rows, all with the same number of tokens."""

    memory: Memory  # of R rows
    keys: list[Tensor]  # of each layer (R, H, capacity, D/H), filled up to `length`
    values: list[Tensor]
    length: int = 0

    def keep(self, rows: Tensor) -> None:
        """Keep only these rows, in this order."""
        self.memory = self.memory.take(rows)
        self.reorder(rows)

    def reorder(self, rows: Tensor) -> None:
        """Continue each row from the tokens of another row with the same source."""
        self.keys = [keys[rows] for keys in self.keys]
        self.values = [values[rows] for values in self.values]

    def grow(self) -> None:
        if self.length == self.keys[0].shape[2]:
            self.keys = [F.pad(keys, (0, 0, 0, self.length)) for keys in self.keys]
            self.values = [F.pad(values, (0, 0, 0, self.length)) for values in self.values]


class Network:
    """The weights of a MarianMT model on `device`; int8 applies to the linear layers, on a CPU only.

    Attributes: `vocabulary` (V of the decoder, without the padding to BLOCK), `positions` (the most tokens of a text).
    """

    def __init__(self, model: MarianMTModel, *, device: torch.device, precision: Precision = "float32") -> None:
        config: Any = model.config
        dtype = torch.float32 if precision == "int8" else getattr(torch, precision)
        model = model.eval().to(device=device, dtype=dtype)  # type: ignore[reportArgumentType]  # a wrapped method
        self.device = device
        self.positions, self.vocabulary = config.max_position_embeddings, len(model.lm_head.weight)
        self.pad_id, self.end_id, self.start_id = (
            config.pad_token_id,
            config.eos_token_id,
            config.decoder_start_token_id,
        )
        self._scale = math.sqrt(config.d_model) if config.scale_embedding else 1.0
        encoder, decoder = model.model.encoder, model.model.decoder
        self._encoder_heads, self._heads = config.encoder_attention_heads, config.decoder_attention_heads
        self._encoder_tokens, self._tokens = encoder.embed_tokens.weight, decoder.embed_tokens.weight
        self._encoder_positions, self._positions = encoder.embed_positions.weight, decoder.embed_positions.weight
        self._encoder = [_EncoderLayer(layer, precision) for layer in encoder.layers]
        self._decoder = [_DecoderLayer(layer, precision) for layer in decoder.layers]
        extra = -self.vocabulary % BLOCK
        output = F.pad(model.lm_head.weight, (0, 0, 0, extra))  # (V', D)
        self._output = Int8Linear.of(output, None) if precision == "int8" else output
        bias = F.pad(model.final_logits_bias[0].float(), (0, extra), value=-torch.inf)
        self._output_bias = bias  # (V',)
        self.forbid([self.pad_id])  # Marian's start token, which it never outputs

    def forbid(self, tokens: list[int]) -> None:
        """Never output these tokens."""
        self._output_bias[tokens] = -torch.inf

    def encode(self, sources: list[list[int]]) -> Memory:
        """Encode B sources, lists of token ids with the end token."""
        lengths = [len(source) for source in sources]
        longest = max(lengths)
        ids = torch.tensor([source + [self.pad_id] * (longest - len(source)) for source in sources], device=self.device)
        mask = None
        if min(lengths) < longest:
            mask = torch.arange(longest, device=self.device) < torch.tensor(lengths, device=self.device)[:, None]
            mask = mask[:, None, None, :]
        hidden = F.embedding(ids, self._encoder_tokens) * self._scale + self._encoder_positions[:longest]  # (B, S, D)
        for layer in self._encoder:
            hidden = layer(hidden, mask, self._encoder_heads)
        pairs = [layer.cross_keys_values(hidden, self._heads) for layer in self._decoder]
        return Memory([keys for keys, _ in pairs], [values for _, values in pairs], mask)

    def start(self, memory: Memory) -> State:
        """Rows without tokens, one for each row of the memory."""
        rows, heads, _, width = memory.keys[0].shape
        empty = [memory.keys[0].new_zeros(rows, heads, _INITIAL_CAPACITY, width) for _ in range(2 * len(self._decoder))]
        return State(memory, empty[: len(self._decoder)], empty[len(self._decoder) :])

    def step(self, state: State, tokens: Tensor) -> Tensor:
        """From the last token of each row (R,) to float32 logits of the next one: (R, V padded to BLOCK)."""
        state.grow()
        hidden = F.embedding(tokens, self._tokens) * self._scale + self._positions[state.length]  # (R, D)
        for number, layer in enumerate(self._decoder):
            hidden = layer(hidden, state, number, self._heads)
        state.length += 1
        if isinstance(self._output, Int8Linear):
            return self._output(hidden).add_(self._output_bias)
        if self.device.type == "cuda":
            return product_in_float32(hidden, self._output).add_(self._output_bias)
        # On a CPU this order of the factors is up to 1.5 times as fast as the other.
        return torch.mm(self._output, hidden.t()).t().float().add_(self._output_bias)


class _EncoderLayer:
    def __init__(self, layer: Any, precision: Precision) -> None:
        self._qkv = _linear(precision, layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj)
        self._out, self._norm = _linear(precision, layer.self_attn.out_proj), _norm(layer.self_attn_layer_norm)
        self._fc1, self._fc2 = _linear(precision, layer.fc1), _linear(precision, layer.fc2)
        self._activation, self._last_norm = layer.activation_fn, _norm(layer.final_layer_norm)

    def __call__(self, hidden: Tensor, mask: Tensor | None, heads: int) -> Tensor:  # (B, S, D)
        query, keys, values = (_split(part, heads) for part in self._qkv(hidden).chunk(3, dim=-1))
        attended = F.scaled_dot_product_attention(query, keys, values, attn_mask=mask)
        hidden = self._norm(hidden + self._out(attended.transpose(1, 2).flatten(2)))
        return self._last_norm(hidden + self._fc2(self._activation(self._fc1(hidden))))


class _DecoderLayer:
    def __init__(self, layer: Any, precision: Precision) -> None:
        attention, cross = layer.self_attn, layer.encoder_attn
        self._qkv = _linear(precision, attention.q_proj, attention.k_proj, attention.v_proj)
        self._out = _linear(precision, attention.out_proj)
        self._norm = _norm(layer.self_attn_layer_norm)
        self._query, self._cross_out = _linear(precision, cross.q_proj), _linear(precision, cross.out_proj)
        self._cross_kv = _linear(precision, cross.k_proj, cross.v_proj)
        self._cross_norm = _norm(layer.encoder_attn_layer_norm)
        self._fc1, self._fc2 = _linear(precision, layer.fc1), _linear(precision, layer.fc2)
        self._activation, self._last_norm = layer.activation_fn, _norm(layer.final_layer_norm)

    def cross_keys_values(self, memory: Tensor, heads: int) -> tuple[Tensor, Tensor]:  # (B, S, D)
        keys, values = self._cross_kv(memory).chunk(2, dim=-1)
        return _split(keys, heads).contiguous(), _split(values, heads).contiguous()

    def __call__(self, hidden: Tensor, state: State, number: int, heads: int) -> Tensor:  # (R, D)
        position = state.length
        query, key, value = self._qkv(hidden).unflatten(1, (3, heads, -1)).unbind(1)  # (R, H, D/H)
        keys, values = state.keys[number], state.values[number]
        keys[:, :, position], values[:, :, position] = key, value
        past = slice(position + 1)
        attended = _attend(query, keys[:, :, past], values[:, :, past])
        hidden = self._norm(hidden + self._out(attended.flatten(1)))
        query = self._query(hidden).unflatten(1, (heads, -1))  # (R, H, D/H)
        memory = state.memory
        attended = _attend(query, memory.keys[number], memory.values[number], memory.mask)
        hidden = self._cross_norm(hidden + self._cross_out(attended.flatten(1)))
        return self._last_norm(hidden + self._fc2(self._activation(self._fc1(hidden))))


def _attend(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None) -> Tensor:
    """Attention of the one query of each row and head, (R, H, D/H), to (R, H, T, D/H)."""
    if query.device.type == "cuda" and query.dtype in SIXTEEN_BITS and len(query) >= _MANY_ROWS:
        return attend_by_products(query, keys, values, mask)
    return F.scaled_dot_product_attention(query[:, :, None], keys, values, attn_mask=mask)


def _split(hidden: Tensor, heads: int) -> Tensor:  # (B, S, D) -> (B, H, S, D/H)
    return hidden.unflatten(2, (heads, -1)).transpose(1, 2)


def _linear(precision: Precision, *layers: Any) -> _Linear | Int8Linear:
    """Fuse layers with the same input into one."""
    weight, bias = torch.cat([layer.weight for layer in layers]), torch.cat([layer.bias for layer in layers])
    return Int8Linear.of(weight, bias) if precision == "int8" else _Linear(weight, bias)


def _norm(layer: Any) -> _Norm:
    return _Norm(layer.weight, layer.bias, layer.eps)
