"""How the rows of one forward are dealt out to passes through the encoder.

One pass is best where rows are packed. An encoder that cannot be packed runs rows of like lengths together, so that
little is padding. And where memory asks for it a pass has so many tokens and no more: what it remembers for the
gradient is made again when the gradient comes by, pass after pass (as GradCache, Gao et al. 2021, arXiv 2101.06983), so
that an objective still sees all rows of the batch at once and its gradient is that of one pass.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

SLACK = 16  # tokens, or a quarter of the longest row, by which rows of like lengths may differ


def deal(lengths: Sequence[int], *, most: int | None, packed: bool) -> list[list[int]]:
    """The rows of each pass; all in one, in their order, where nothing speaks against it.

    Args:
        lengths: places that a row needs, up to its last token.
        most: tokens of a pass, or places where rows are padded; a row that is longer is a pass by itself.
        packed: whether padding costs nothing, so that any rows may go together.
    """
    passes: list[list[int]] = []
    left = 0
    for row in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
        need = lengths[row]
        longest = lengths[passes[-1][0]] if passes else need
        alike = packed or longest - need <= max(SLACK, longest // 4)
        cost = need if packed else longest
        if not passes or not alike or (most is not None and cost > left):
            passes.append([])
            cost, left = need, most or 0
        passes[-1].append(row)
        left -= cost
    return passes if len(passes) > 1 else [list(range(len(lengths)))]


def extents(mask: Tensor) -> list[int]:
    """Places of each row up to its last token, whatever was erased before it. (B, T) int64"""
    places = torch.arange(1, mask.shape[1] + 1, device=mask.device)
    return (mask * places).amax(dim=1).tolist() if len(mask) else []
