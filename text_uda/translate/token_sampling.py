"""Which token comes next: the likeliest, or the one on which a uniform number falls.

Three numbers in [0, 1) decide a step: which block of tokens, which group in it, which token in that, each by the
inverse of a cumulative distribution. They are keyed by sentence, sample and step, so a row needs nothing of its batch.
In another batch the last bits of logits differ. One number that had to fall between the same two of 60,000 borders
again would now and then miss them; three numbers between some hundred borders in all miss them about never.

Shapes: R rows, V vocabulary, a multiple of BLOCK.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from text_uda.translate.marian_network import BLOCK

DRAWS = 3  # numbers that decide a step
_GROUP = 16  # tokens of a group; as many groups are a block
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
        uniform: (R, DRAWS) float64 in [0, 1).
        top_k: among the k likeliest tokens alone (Fan et al. 2018).
        top_p: among the fewest likeliest tokens that together have this probability (Holtzman et al. 2020), after
            top_k.
    """
    if top_k is not None or top_p is not None:
        return _draw_among_few(logits / temperature, uniform[:, 0], top_k, top_p)
    best = logits.amax(dim=-1, keepdim=True)
    weights = logits.sub_(best).div_(temperature).exp_()  # (R, V)
    blocks = weights.unflatten(-1, (-1, BLOCK))  # (R, V / BLOCK, BLOCK)
    of_blocks = blocks.sum(dim=-1).double()  # in float32 the sum of 60,000 would miss by more than many a token has
    rows = torch.arange(len(logits), device=logits.device)
    block = _fallen_on(of_blocks, uniform[:, 0])
    groups = blocks[rows, block].double().unflatten(-1, (-1, _GROUP))  # (R, BLOCK / GROUP, GROUP)
    group = _fallen_on(groups.sum(dim=-1), uniform[:, 1])
    place = _fallen_on(groups[rows, group], uniform[:, 2])
    probability = groups[rows, group, place] / of_blocks.sum(dim=-1)
    return Chosen(block * BLOCK + group * _GROUP + place, probability.log().float())


def _draw_among_few(logits: Tensor, uniform: Tensor, top_k: int | None, top_p: float | None) -> Chosen:
    values, tokens = _sorted(logits, top_k, top_p)  # (R, K), the likeliest first
    probabilities = values.double().softmax(dim=-1)
    if top_k is None:  # of the whole vocabulary, of which K tokens were sorted
        probabilities = (values.double() - logits.double().logsumexp(dim=-1, keepdim=True)).exp()
    if top_p is not None:
        before = probabilities.cumsum(dim=-1) - probabilities
        probabilities = probabilities.masked_fill(before >= top_p, 0.0)
    up_to = probabilities.cumsum(dim=-1)
    place = _fallen_on(probabilities, uniform)[:, None]
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


def _fallen_on(weights: Tensor, uniform: Tensor) -> Tensor:
    """The place in (R, N) on which a number (R,) falls, never one without weight: (R,)"""
    up_to = weights.cumsum(dim=-1)
    place = (up_to <= (uniform * up_to[:, -1])[:, None]).sum(dim=-1)
    last = (up_to < up_to[:, -1:]).sum(dim=-1)
    return torch.minimum(place, last)
