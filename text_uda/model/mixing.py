"""Mixup: each row is drawn towards a partner, in the input, in a hidden layer and in the labels alike.

Shapes: B rows of this process, N rows of all processes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from text_uda import distributed
from text_uda.keyed_random import keyed_generator


@dataclass(frozen=True)
class Mixing:
    """What is mixed with what. The B rows are groups one under another (labeled, unlabeled, ...), in this order."""

    weight: Tensor  # (B,) float32 in [0, 1], of the row itself
    partner: Tensor  # (B,) int64, which of the N rows of `pool`
    sizes: tuple[int, ...]  # rows of each group; they sum up to B

    def __call__(self, values: Tensor) -> Tensor:
        """weight * own + (1 - weight) * partner's. (B, ...) -> (B, ...)

        Zhang et al. 2018, "mixup" (arXiv 1710.09412), Section 2.
        """
        weight = self.weight.view(-1, *(1 for _ in values.shape[1:])).to(values.dtype)
        return weight * values + (1 - weight) * self.pool(values)[self.partner]

    def either(self, mask: Tensor) -> Tensor:
        """The attention mask of mixed rows: a place that either has. Boolean, of 0 and 1, or additive. (B, ...)"""
        return torch.maximum(mask, self.pool(mask)[self.partner])

    def pool(self, values: Tensor) -> Tensor:
        """The rows of all processes, group by group: the same in any number of processes. (B, ...) -> (N, ...)"""
        return torch.cat([distributed.gathered(group) for group in values.split(list(self.sizes))])


def draw_mixing(
    key: int,
    sizes: Sequence[int],
    *,
    alpha: float,
    own_first: bool = False,
    with_first_group: bool = False,
    device: torch.device,
) -> Mixing:
    """Partners by a permutation of all rows, weights by Beta(alpha, alpha), one of each for a row.

    Args:
        key: of the draw; the same in all processes.
        sizes: rows of each group in this process.
        own_first: take max(w, 1 - w) for w, so that a row stays nearer to itself (Berthelot et al. 2019, Equation 9).
        with_first_group: partners are rows of the first group alone, drawn one by one.
    """
    generator = keyed_generator(key, "mixing")
    everywhere = sum(sizes) * distributed.processes()
    first = sizes[0] * distributed.processes()
    drawn = generator.integers(first, size=everywhere) if with_first_group else generator.permutation(everywhere)
    partner = torch.from_numpy(drawn)
    weight = torch.from_numpy(generator.beta(alpha, alpha, everywhere)).float()
    if own_first:
        weight = torch.maximum(weight, 1 - weight)
    own, start = [], 0
    for size in sizes:
        own.append(start + distributed.rank() * size + torch.arange(size))
        start += size * distributed.processes()
    places = torch.cat(own)
    return Mixing(weight[places].to(device), partner[places].to(device), tuple(sizes))
