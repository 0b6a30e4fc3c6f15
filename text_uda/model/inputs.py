"""What a step is fed: token ids (padded to the longest row), their embeddings, or features of a frozen encoder.

Shapes: B rows, T tokens, D width; L labeled and U unlabeled rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad as pad_right


@dataclass(frozen=True)
class Tokens:
    input_ids: Tensor  # (B, T) int64
    attention_mask: Tensor  # (B, T) int64, 1 where there is a token

    def __len__(self) -> int:
        return len(self.input_ids)

    def take(self, rows: Tensor, width: int | None = None) -> "Tokens":
        """Some of the rows, (R,) int64, with the first `width` places of each."""
        return Tokens(self.input_ids[rows, :width], self.attention_mask[rows, :width])

    def to(self, device: torch.device) -> "Tokens":
        ids, mask = (part.to(device, non_blocking=True) for part in (self.input_ids, self.attention_mask))
        return Tokens(ids, mask)

    def pinned(self) -> "Tokens":
        return Tokens(self.input_ids.pin_memory(), self.attention_mask.pin_memory())


@dataclass(frozen=True)
class Embedded:
    """Tokens as the word embeddings that the model begins with; it adds positions and segments itself."""

    values: Tensor  # (B, T, D)
    attention_mask: Tensor  # (B, T) int64

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: Tensor, width: int | None = None) -> "Embedded":
        return Embedded(self.values[rows, :width], self.attention_mask[rows, :width])

    def to(self, device: torch.device) -> "Embedded":
        values, mask = (part.to(device, non_blocking=True) for part in (self.values, self.attention_mask))
        return Embedded(values, mask)

    def pinned(self) -> "Embedded":
        return Embedded(self.values.pin_memory(), self.attention_mask.pin_memory())


@dataclass(frozen=True)
class Features:
    values: Tensor  # (B, D) float32: what the head reads

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: Tensor, width: int | None = None) -> "Features":
        return Features(self.values[rows])

    def to(self, device: torch.device) -> "Features":
        return Features(self.values.to(device, non_blocking=True))

    def pinned(self) -> "Features":
        return Features(self.values.pin_memory())


Inputs = Tokens | Embedded | Features


@dataclass(frozen=True)
class Batch:
    """One step's rows. `original[i]` and `augmented[i]` are the two views of the same unlabeled text.

    Without augmented rows, the step makes that view from the original ones, where it has an augmentation.
    """

    labeled: Inputs  # L rows
    labels: Tensor  # (L,) int64
    original: Inputs | None = None  # U rows
    augmented: Inputs | None = None  # U rows
    labeled_rows: Tensor | None = None  # (L,) int64: which of the labeled rows of the data
    unlabeled_rows: Tensor | None = None  # (U,) int64: which of the unlabeled ones that are trained on

    @property
    def second(self) -> Inputs:
        """The other view of the unlabeled rows: the augmented one, or the original one once more."""
        second = self.original if self.augmented is None else self.augmented
        assert second is not None, "the trainer gives unlabeled rows to objectives that need them"
        return second

    def to(self, device: torch.device) -> "Batch":
        return Batch(
            self.labeled.to(device),
            self.labels.to(device, non_blocking=True),
            None if self.original is None else self.original.to(device),
            None if self.augmented is None else self.augmented.to(device),
            None if self.labeled_rows is None else self.labeled_rows.to(device, non_blocking=True),
            None if self.unlabeled_rows is None else self.unlabeled_rows.to(device, non_blocking=True),
        )

    def pinned(self) -> "Batch":
        """In memory that a GPU can copy from while it works."""
        return Batch(
            self.labeled.pinned(),
            self.labels.pin_memory(),
            None if self.original is None else self.original.pinned(),
            None if self.augmented is None else self.augmented.pinned(),
            None if self.labeled_rows is None else self.labeled_rows.pin_memory(),
            None if self.unlabeled_rows is None else self.unlabeled_rows.pin_memory(),
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
    if all(isinstance(part, Embedded) for part in parts):
        embedded = [part for part in parts if isinstance(part, Embedded)]
        return Embedded(
            _under_each_other([part.values for part in embedded], fill=0.0),
            _under_each_other([part.attention_mask for part in embedded], fill=0),
        )
    tokens = [part for part in parts if isinstance(part, Tokens)]
    assert len(tokens) == len(parts), "token ids, embeddings and features do not mix in a batch"
    return Tokens(
        _under_each_other([part.input_ids for part in tokens], fill=pad_id),
        _under_each_other([part.attention_mask for part in tokens], fill=0),
    )


def widened(inputs: Inputs, width: int, *, pad_id: int) -> Inputs:
    """The same rows with T = `width`, which is no less than before."""
    if isinstance(inputs, Tokens):
        ids = _wide(inputs.input_ids, width, fill=pad_id)
        return Tokens(ids, _wide(inputs.attention_mask, width, fill=0))
    if isinstance(inputs, Embedded):
        values = _wide(inputs.values, width, fill=0.0)
        return Embedded(values, _wide(inputs.attention_mask, width, fill=0))
    return inputs


def width_of(inputs: Inputs) -> int:
    """T, or 0 for features."""
    return 0 if isinstance(inputs, Features) else inputs.attention_mask.shape[1]


def _under_each_other(parts: Sequence[Tensor], *, fill: float) -> Tensor:
    """(B, T) or (B, T, D) each, filled on the right to the widest T."""
    width = max(part.shape[1] for part in parts)
    return torch.cat([_wide(part, width, fill=fill) for part in parts])


def _wide(values: Tensor, width: int, *, fill: float) -> Tensor:
    """(B, T) or (B, T, D), filled on the right to T = `width`."""
    return pad_right(values, (0, 0) * (values.ndim - 2) + (0, width - values.shape[1]), value=fill)
