"""Splits the rows of one forward into passes through the encoder.

Packed rows take one pass. An encoder that cannot be packed runs rows of similar length together, so that little is
padding. Where memory is short, a limit on the tokens of a pass applies: each pass recomputes its activations in the
backward pass (as GradCache, Gao et al. 2021, arXiv 2101.06983), so an objective still sees all rows of the batch at
once, and its gradient equals the gradient of one pass.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from text_uda.model.inputs import Embedded, Tokens

LENGTH_TOLERANCE = 16
"""Rows of one padded pass differ in length by at most this many tokens, or by a quarter of the longest row."""


def split_into_passes(lengths: Sequence[int], *, max_tokens: int | None, packed: bool) -> list[list[int]]:
    """The row indices of each pass; one pass, with the rows in order, if nothing requires a split.

    Args:
        lengths: of the rows, up to their last token.
        max_tokens: limit of a pass, padding included; a longer row is a pass by itself. None for no limit.
        packed: whether the encoder runs without padding, so that rows of any lengths can share a pass.
    """
    passes: list[list[int]] = []
    remaining = 0
    for row in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
        length = lengths[row]
        longest = lengths[passes[-1][0]] if passes else length
        similar = packed or longest - length <= max(LENGTH_TOLERANCE, longest // 4)
        cost = length if packed else longest
        if not passes or not similar or (max_tokens is not None and cost > remaining):
            passes.append([])
            cost, remaining = length, max_tokens or 0
        passes[-1].append(row)
        remaining -= cost
    return passes if len(passes) > 1 else [list(range(len(lengths)))]


def row_lengths(inputs: Tokens | Embedded) -> Sequence[int]:
    """The positions of each row up to its last token; waits for the GPU only where the inputs do not know them."""
    return lengths_to_last_token(inputs.attention_mask) if inputs.lengths is None else inputs.lengths


def lengths_to_last_token(mask: Int[Tensor, "B T"]) -> list[int]:
    """The positions of each row up to its last token, erased positions before it included."""
    positions = torch.arange(1, mask.shape[1] + 1, device=mask.device)
    return (mask * positions).amax(dim=1).tolist() if len(mask) else []
