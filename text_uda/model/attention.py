"""Attention within each row of packed rows, in the way that is fastest where it runs.

- On a CPU with dropout, and in training on rows of less than 256 tokens, rows of nearly one length share products, in
  float32. A step has dozens of lengths; torch's kernel for a CPU has no dropout and a slow backward pass.
- Else on a CPU, one call for all rows of a length.
- On CUDA in 16 bits, the kernel for rows of any lengths.
- Elsewhere, rows padded for the attention alone: a GPU waits for calls, and attention is a small part of the arithmetic
  (4 T D of 24 D^2 + 4 T D for each token, with T tokens in a row and width D).

Shapes: N tokens of all rows, h heads, d width of a head.
"""

import logging
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from text_uda.model.bit_dropout import dropped
from text_uda.model.cuda import SIXTEEN_BITS, has_flash_attention
from text_uda.model.keyed_tensors import seeded_torch
from text_uda.model.segments import Segments, pad_rows, unpad_rows, window_mask

log = logging.getLogger("text_uda")

_LONG_ROW = 256
"""From this number of tokens on, torch's kernel is as fast without dropout, and needs no memory for the scores."""


class AttentionOptions(NamedTuple):
    """The options that a layer passes to its attention."""

    dropout: float
    scaling: float | None
    sliding_window: int | None


Heads = Float[Tensor, "N h d"]
"""Queries, keys, values or results of the attention: a vector for each token and head."""

Attention = Callable[[Heads, Heads, Heads, Segments, AttentionOptions], Heads]
"""An implementation of attention within each row: of query, key and value."""


def choose_attention(query: Tensor, segments: Segments, options: AttentionOptions) -> Attention:
    if query.device.type == "cpu":
        return attend_in_buckets if _gains_from_buckets(query, segments, options) else attend_by_length
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
            with_dropout = attend_varlen(query, key, value, segments, AttentionOptions(0.5, None, None))
            (gradient,) = torch.autograd.grad(with_dropout.sum(), query)
            works = bool((by_kernel - expected).abs().max() < 0.05) and bool(gradient.isfinite().all())
        except (RuntimeError, TypeError, ValueError) as error:
            works, reason = False, " ".join(str(error).split())
        else:
            reason = "its results are wrong"
    if not works:
        log.warning("attention runs on padded rows: PyTorch's kernel for rows of any lengths fails here (%s)", reason)
    return works


def _gains_from_buckets(query: Tensor, segments: Segments, options: AttentionOptions) -> bool:
    trains = torch.is_grad_enabled() and query.requires_grad
    return options.dropout > 0 or (trains and int(segments.lengths[-1]) < _LONG_ROW)


def attend_in_buckets(query: Heads, key: Heads, value: Heads, segments: Segments, options: AttentionOptions) -> Heads:
    """One product for the rows of nearly one length (see `Segments.buckets`), each padded to the longest of them.

    In bf16 the scores would be rounded, and oneDNN would keep a program for each number of rows and tokens.
    """
    scale = query.shape[-1] ** -0.5 if options.scaling is None else options.scaling
    tokens = [bucket.tokens.stop - bucket.tokens.start for bucket in segments.buckets]
    attended = []
    with torch.autocast(query.device.type, enabled=False):
        parts = zip(*(tensor.split(tokens) for tensor in (query, key, value)), strict=True)
        for number, (bucket, part) in enumerate(zip(segments.buckets, parts, strict=True)):
            exact = (tensor.to(torch.promote_types(tensor.dtype, torch.float32)) for tensor in part)
            queries, keys, values = (pad_rows(tensor, bucket).transpose(1, 2) for tensor in exact)  # (R, h, W, d) each
            scores = (queries * scale) @ keys.transpose(-1, -2)
            bias = segments.bucket_bias(number, options.sliding_window)
            if bias is not None:
                scores = scores + bias
            weights = dropped(scores.softmax(dim=-1), options.dropout)
            attended.append(unpad_rows((weights @ values).transpose(1, 2), bucket).to(value.dtype))
    return torch.cat(attended)


def attend_by_length(query: Heads, key: Heads, value: Heads, segments: Segments, options: AttentionOptions) -> Heads:
    """One call for the rows of each length, without padding."""
    attended, start = [], 0
    for rows, tokens in segments.groups:
        stop = start + rows * tokens
        window = window_mask(segments.positions[start:stop].view(rows, tokens), options.sliding_window)
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
