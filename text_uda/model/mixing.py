"""Mixup: interpolates each row with a partner, in the input or a hidden layer, and in the labels alike.

Shapes: B rows of this process, N rows of all processes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from text_uda import distributed
from text_uda.keyed_random import keyed_generator


@dataclass(frozen=True)
class Mixing:
    """Partners and weights of B rows, which are groups in a fixed order (labeled, unlabeled, ...)."""

    weight: Float[Tensor, " B"]  # float32 in [0, 1], of the row itself
    partner: Int[Tensor, " B"]  # index into the N rows of `pool`
    sizes: tuple[int, ...]  # rows of each group; they sum to B

    def __call__(self, values: Float[Tensor, " B *axes"]) -> Float[Tensor, " B *axes"]:
        """weight * row + (1 - weight) * partner.

        Zhang et al. 2018, "mixup" (arXiv 1710.09412), Section 2.
        """
        weight = self.weight.view(-1, *(1 for _ in values.shape[1:])).to(values.dtype)
        return weight * values + (1 - weight) * self.pool(values)[self.partner]

    def either(self, mask: Shaped[Tensor, " B *axes"]) -> Shaped[Tensor, " B *axes"]:
        """The attention mask of mixed rows: the positions of either row. Boolean, of 0 and 1, or additive."""
        return torch.maximum(mask, self.pool(mask)[self.partner])

    def pool(self, values: Shaped[Tensor, " B *axes"]) -> Shaped[Tensor, " N *axes"]:
        """The rows of all processes, group by group; the order does not depend on the number of processes."""
        return torch.cat([distributed.gathered(group) for group in values.split(list(self.sizes))])


def draw_mixing(
    key: int,
    sizes: Sequence[int],
    *,
    alpha: float,
    larger_weight: bool = False,
    with_first_group: bool = False,
    device: torch.device,
) -> Mixing:
    """Draw partners by a permutation of all rows, and a weight from Beta(alpha, alpha) for each row.

    Args:
        key: of the draw; the same in all processes.
        sizes: rows of each group in this process.
        larger_weight: replace w by max(w, 1 - w), so that the row outweighs its partner (Berthelot et al. 2019,
            Equation 9).
        with_first_group: draw each partner from the first group, with replacement.
    """
    generator = keyed_generator(key, "mixing")
    all_rows = sum(sizes) * distributed.processes()
    first = sizes[0] * distributed.processes()
    drawn = generator.integers(first, size=all_rows) if with_first_group else generator.permutation(all_rows)
    partner = torch.from_numpy(drawn)
    weight = torch.from_numpy(generator.beta(alpha, alpha, all_rows)).float()
    if larger_weight:
        weight = torch.maximum(weight, 1 - weight)
    groups, start = [], 0  # which of the N rows are of this process
    for size in sizes:
        groups.append(start + distributed.rank() * size + torch.arange(size))
        start += size * distributed.processes()
    rows = torch.cat(groups)
    return Mixing(weight[rows].to(device), partner[rows].to(device), tuple(sizes))
