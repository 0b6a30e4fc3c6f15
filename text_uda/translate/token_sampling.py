"""The next token: the likeliest, or a draw by uniform random numbers.

Three numbers in [0, 1) decide a step: they draw a block of tokens, a group in the block and a token in the group, each
by the inverse of a cumulative distribution. The numbers are keyed by sentence, sample and step, so a draw does not
depend on the batch. Another batch changes the last bits of the logits. One number among 60,000 intervals would now and
then fall into a neighboring interval; three numbers among a few hundred intervals in all almost never do.

Shapes: R rows, V vocabulary, a multiple of BLOCK.
"""

from typing import NamedTuple

import torch
from torch import Tensor

BLOCK = 256  # logits are padded to a multiple of it, with tokens that are never drawn
DRAWS = 3  # random numbers per step
_GROUP = 16  # tokens of a group, and groups of a block
_NUCLEUS = 512  # tokens that top-p sorts; where their mass is too small, it sorts all tokens of the row


class Draw(NamedTuple):
    tokens: Tensor  # (R,) int64
    log_probability: Tensor  # (R,) float32, in the sampling distribution; NaN if the logits have a NaN


def likeliest(logits: Tensor) -> Draw:  # (R, V)
    best, tokens = logits.max(dim=-1)
    return Draw(tokens, best - logits.logsumexp(dim=-1))


def draw(
    logits: Tensor, uniform: Tensor, *, temperature: float, top_k: int | None = None, top_p: float | None = None
) -> Draw:
    """One token per row from softmax(logits / temperature).

    Args:
        logits: (R, V) float32; overwritten.
        uniform: (R, DRAWS) float64 in [0, 1).
        top_k: sample from the k likeliest tokens (Fan et al. 2018).
        top_p: sample from the smallest set of likeliest tokens with this total probability (Holtzman et al. 2020),
            after top_k.
    """
    if top_k is not None or top_p is not None:
        return _draw_top(logits / temperature, uniform[:, 0], top_k, top_p)
    best = logits.amax(dim=-1, keepdim=True)
    weights = logits.sub_(best).div_(temperature).exp_()  # (R, V)
    blocks = weights.unflatten(-1, (-1, BLOCK))  # (R, V / BLOCK, BLOCK)
    mass = blocks.sum(dim=-1).double()  # the float32 rounding of a sum of 60,000 exceeds the mass of many tokens
    rows = torch.arange(len(logits), device=logits.device)
    block = _inverse_cdf(mass, uniform[:, 0])
    groups = blocks[rows, block].double().unflatten(-1, (-1, _GROUP))  # (R, BLOCK / GROUP, GROUP)
    group = _inverse_cdf(groups.sum(dim=-1), uniform[:, 1])
    place = _inverse_cdf(groups[rows, group], uniform[:, 2])
    probability = groups[rows, group, place] / mass.sum(dim=-1)
    return Draw(block * BLOCK + group * _GROUP + place, probability.log().float())


def _draw_top(logits: Tensor, uniform: Tensor, top_k: int | None, top_p: float | None) -> Draw:
    size = logits.shape[-1]
    if top_k is not None:
        values, tokens = _sorted(logits, min(top_k, size))
        return _draw_sorted(values, tokens, values.double().softmax(dim=-1), uniform, top_p)
    assert top_p is not None
    total = logits.double().logsumexp(dim=-1, keepdim=True)  # normalizes over the whole vocabulary
    values, tokens = _sorted(logits, min(_NUCLEUS, size))
    probabilities = (values.double() - total).exp()
    drawn = _draw_sorted(values, tokens, probabilities, uniform, top_p)
    flat = (probabilities.sum(dim=-1) < top_p).nonzero().squeeze(-1)  # rows whose nucleus is larger
    if len(flat):
        values, tokens = _sorted(logits[flat], size)
        of_flat = _draw_sorted(values, tokens, (values.double() - total[flat]).exp(), uniform[flat], top_p)
        drawn = Draw(*(all_rows.index_copy(0, flat, some) for all_rows, some in zip(drawn, of_flat, strict=True)))
    return drawn


def _draw_sorted(values: Tensor, tokens: Tensor, probabilities: Tensor, uniform: Tensor, top_p: float | None) -> Draw:
    """One of the tokens of each row, (R, K), the likeliest first; top-p leaves out the unlikely ones."""
    if top_p is not None:
        before = probabilities.cumsum(dim=-1) - probabilities
        probabilities = probabilities.masked_fill(before >= top_p, 0.0)
    cumulative = probabilities.cumsum(dim=-1)
    place = _inverse_cdf(probabilities, uniform)[:, None]
    probability = probabilities.gather(-1, place).squeeze(-1) / cumulative[:, -1]
    return Draw(tokens.gather(-1, place).squeeze(-1), probability.log().float())


def _sorted(logits: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The likeliest tokens, (R, count), the likeliest first; ties in the order of the ids."""
    top = logits.topk(count, dim=-1)
    order = top.indices.argsort(dim=-1)  # topk does not define the order of ties
    values, tokens = top.values.gather(-1, order), top.indices.gather(-1, order)
    order = values.argsort(dim=-1, descending=True, stable=True)
    return values.gather(-1, order), tokens.gather(-1, order)


def _inverse_cdf(weights: Tensor, uniform: Tensor) -> Tensor:
    """The index into `weights` (R, N) that the number (R,) selects, never one of weight 0: (R,)."""
    cumulative = weights.cumsum(dim=-1)
    place = (cumulative <= (uniform * cumulative[:, -1])[:, None]).sum(dim=-1)
    last = (cumulative < cumulative[:, -1:]).sum(dim=-1)
    return torch.minimum(place, last)
