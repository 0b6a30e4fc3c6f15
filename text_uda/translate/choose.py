"""Which token comes next: the likeliest, or the one on which a uniform number falls.

One number in [0, 1) decides a step, by the inverse of the cumulative distribution. The number is keyed by sentence,
sample and step, so a row needs nothing of its batch. Shapes: R rows, V vocabulary, a multiple of BLOCK.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from text_uda.translate.network import BLOCK

_NUCLEUS = 512  # tokens that top-p sorts at first; where they do not hold its mass, all are sorted


class Chosen(NamedTuple):
    tokens: Tensor  # (R,) int64
    log_probability: Tensor  # (R,) float32, in the distribution that was drawn from; NaN where the logits have a NaN


def likeliest(logits: Tensor) -> Chosen:  # (R, V)
    best, tokens = logits.max(dim=-1)
    return Chosen(tokens, best - logits.logsumexp(dim=-1))


def draw(
    logits: Tensor, uniform: Tensor, *, temperature: float, top_k: int | None = None, top_p: float | None = None
) -> Chosen:
    """A token of each row from softmax(logits / temperature).

    Args:
        logits: (R, V) float32; overwritten.
        uniform: (R,) float64 in [0, 1).
        top_k: among the k likeliest tokens alone (Fan et al. 2018).
        top_p: among the fewest likeliest tokens that together have this probability (Holtzman et al. 2020), after
            top_k.
    """
    if top_k is not None or top_p is not None:
        return _draw_among_few(logits / temperature, uniform, top_k, top_p)
    best = logits.amax(dim=-1, keepdim=True)
    weights = logits.sub_(best).div_(temperature).exp_()  # (R, V)
    # First the block of tokens, then the token in it, so that the sums over V are few. They are in float64: in float32
    # the sum of 60,000 probabilities misses 1 by more than many a token has.
    blocks = weights.unflatten(-1, (-1, BLOCK))  # (R, V / BLOCK, BLOCK)
    up_to = blocks.sum(dim=-1).double().cumsum(dim=-1)  # (R, V / BLOCK)
    total = up_to[:, -1]
    target = uniform * total
    block = _first_above(up_to, target)
    rows = torch.arange(len(logits), device=logits.device)
    inside = blocks[rows, block].double()  # (R, BLOCK)
    before = up_to[rows, block] - blocks[rows, block].sum(dim=-1).double()
    place = _first_above(inside.cumsum(dim=-1), target - before)
    probability = inside[rows, place] / total
    return Chosen(block * BLOCK + place, probability.log().float())


def _draw_among_few(logits: Tensor, uniform: Tensor, top_k: int | None, top_p: float | None) -> Chosen:
    values, tokens = _sorted(logits, top_k, top_p)  # (R, K), the likeliest first
    probabilities = values.double().softmax(dim=-1)
    if top_k is None:  # of the whole vocabulary, of which K tokens were sorted
        probabilities = (values.double() - logits.double().logsumexp(dim=-1, keepdim=True)).exp()
    if top_p is not None:
        before = probabilities.cumsum(dim=-1) - probabilities
        probabilities = probabilities.masked_fill(before >= top_p, 0.0)
    up_to = probabilities.cumsum(dim=-1)
    place = _first_above(up_to, uniform * up_to[:, -1])[:, None]
    chosen = probabilities.gather(-1, place).squeeze(-1) / up_to[:, -1]
    return Chosen(tokens.gather(-1, place).squeeze(-1), chosen.log().float())


def _sorted(logits: Tensor, top_k: int | None, top_p: float | None) -> tuple[Tensor, Tensor]:
    """The tokens that may be drawn and perhaps more, the likeliest first; equal ones in the order of their numbers."""
    size = logits.shape[-1]
    if top_k is not None:
        few = logits.topk(min(top_k, size), dim=-1)
    else:
        few = logits.topk(min(_NUCLEUS, size), dim=-1)
        mass = (few.values.double() - logits.double().logsumexp(dim=-1, keepdim=True)).exp().sum(dim=-1)
        if top_p is not None and bool((mass < top_p).any()):
            few = logits.topk(size, dim=-1)
    order = few.indices.argsort(dim=-1)  # topk leaves the order of equal values open
    values, tokens = few.values.gather(-1, order), few.indices.gather(-1, order)
    order = values.argsort(dim=-1, descending=True, stable=True)
    return values.gather(-1, order), tokens.gather(-1, order)


def _first_above(up_to: Tensor, target: Tensor) -> Tensor:
    """The first place whose cumulative weight (R, N) is above the target (R,), and never one without weight: (R,)"""
    place = (up_to <= target[:, None]).sum(dim=-1)
    last = (up_to < up_to[:, -1:]).sum(dim=-1)
    return torch.minimum(place, last)
