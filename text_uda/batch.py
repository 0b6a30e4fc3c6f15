"""What a training step is fed: token ids (padded to the longest row) or features of a frozen encoder.

Shapes: B rows, T tokens, D width; L labeled and U unlabeled rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Tokens:
    input_ids: Tensor  # (B, T) int64
    attention_mask: Tensor  # (B, T) int64, 1 where there is a token

    def __len__(self) -> int:
        return len(self.input_ids)

    def to(self, device: torch.device) -> "Tokens":
        ids, mask = (part.to(device, non_blocking=True) for part in (self.input_ids, self.attention_mask))
        return Tokens(ids, mask)


@dataclass(frozen=True)
class Features:
    values: Tensor  # (B, D) float32: what the head reads

    def __len__(self) -> int:
        return len(self.values)

    def to(self, device: torch.device) -> "Features":
        return Features(self.values.to(device, non_blocking=True))


Inputs = Tokens | Features


@dataclass(frozen=True)
class Batch:
    """One step's rows. `original[i]` and `augmented[i]` are the two views of the same unlabeled text."""

    labeled: Inputs  # L rows
    labels: Tensor  # (L,) int64
    original: Inputs | None = None  # U rows
    augmented: Inputs | None = None  # U rows

    def to(self, device: torch.device) -> "Batch":
        return Batch(
            self.labeled.to(device),
            self.labels.to(device, non_blocking=True),
            self.original and self.original.to(device),
            self.augmented and self.augmented.to(device),
        )


def pad(rows: Sequence[np.ndarray], *, pad_id: int) -> Tokens:
    """Rows of token ids, padded on the right to the longest of them."""
    width = max(len(row) for row in rows)
    input_ids = np.full((len(rows), width), pad_id, dtype=np.int64)
    attention_mask = np.zeros((len(rows), width), dtype=np.int64)
    for index, row in enumerate(rows):
        input_ids[index, : len(row)] = row
        attention_mask[index, : len(row)] = 1
    return Tokens(torch.from_numpy(input_ids), torch.from_numpy(attention_mask))


def concatenate(parts: Sequence[Inputs], *, pad_id: int) -> Inputs:
    """The rows of all parts, which are of one kind, under each other."""
    if all(isinstance(part, Features) for part in parts):
        return Features(torch.cat([part.values for part in parts if isinstance(part, Features)]))
    tokens = [part for part in parts if isinstance(part, Tokens)]
    assert len(tokens) == len(parts), "token ids and features do not mix in a batch"
    width = max(part.input_ids.shape[1] for part in tokens)
    grow = [width - part.input_ids.shape[1] for part in tokens]
    pad_right = torch.nn.functional.pad
    return Tokens(
        torch.cat([pad_right(part.input_ids, (0, by), value=pad_id) for part, by in zip(tokens, grow, strict=True)]),
        torch.cat([pad_right(part.attention_mask, (0, by)) for part, by in zip(tokens, grow, strict=True)]),
    )
