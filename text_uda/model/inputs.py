"""The inputs of a model: token ids (padded to the longest row), their embeddings, or features of a frozen encoder.

Shapes: B any rows, R some of them, L labeled rows, U unlabeled rows, T tokens, D width, M numbers of other columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor
from torch.nn.functional import pad as pad_right

Lengths = tuple[int, ...]


@dataclass(frozen=True)
class Tokens:
    input_ids: Int64[Tensor, "B T"]
    attention_mask: Int64[Tensor, "B T"]  # 1 at tokens, 0 at padding
    lengths: Lengths | None = None
    """The tokens of each row, if they are its first positions and no GPU has to be asked for their number."""
    columns: Float[Tensor, "B M"] | None = None
    """The other columns of each row, as a fused model reads them."""

    def __len__(self) -> int:
        return len(self.input_ids)

    def take(self, rows: Int64[Tensor, " R"], width: int | None = None) -> "Tokens":
        """These rows, with the first `width` positions of each. The lengths are kept if `rows` is on the CPU."""
        ids, mask = _take(rows, width, self.input_ids, self.attention_mask)
        return Tokens(ids, mask, _lengths_of(rows, width, self.lengths), _rows_of(self.columns, rows))

    def to(self, device: torch.device) -> "Tokens":
        ids, mask = (part.to(device, non_blocking=True) for part in (self.input_ids, self.attention_mask))
        return Tokens(ids, mask, self.lengths, _to(self.columns, device))

    def pin_memory(self) -> "Tokens":
        pinned = self.input_ids.pin_memory(), self.attention_mask.pin_memory()
        return Tokens(*pinned, self.lengths, _pinned(self.columns))


@dataclass(frozen=True)
class Embedded:
    """Tokens as word embeddings; the model adds positions and segments."""

    values: Float[Tensor, "B T D"]
    attention_mask: Int64[Tensor, "B T"]
    lengths: Lengths | None = None  # see `Tokens`
    columns: Float[Tensor, "B M"] | None = None

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: Int64[Tensor, " R"], width: int | None = None) -> "Embedded":
        values, mask = _take(rows, width, self.values, self.attention_mask)
        return Embedded(values, mask, _lengths_of(rows, width, self.lengths), _rows_of(self.columns, rows))

    def to(self, device: torch.device) -> "Embedded":
        values, mask = (part.to(device, non_blocking=True) for part in (self.values, self.attention_mask))
        return Embedded(values, mask, self.lengths, _to(self.columns, device))

    def pin_memory(self) -> "Embedded":
        pinned = self.values.pin_memory(), self.attention_mask.pin_memory()
        return Embedded(*pinned, self.lengths, _pinned(self.columns))


@dataclass(frozen=True)
class Features:
    values: Float[Tensor, "B D"]  # the hidden states that the head reads
    columns: Float[Tensor, "B M"] | None = None

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: Int64[Tensor, " R"], width: int | None = None) -> "Features":
        (values,) = _take(rows, None, self.values)
        return Features(values, _rows_of(self.columns, rows))

    def to(self, device: torch.device) -> "Features":
        return Features(self.values.to(device, non_blocking=True), _to(self.columns, device))

    def pin_memory(self) -> "Features":
        return Features(self.values.pin_memory(), _pinned(self.columns))


Inputs = Tokens | Embedded | Features


@dataclass(frozen=True)
class Batch:
    """The rows of one step. `original[i]` and `augmented[i]` are two views of the same unlabeled text.

    Without augmented rows, a step that has an augmentation applies it to the original rows.
    """

    labeled: Inputs  # L rows
    labels: Int64[Tensor, " L"]
    original: Inputs | None = None  # U rows
    augmented: Inputs | None = None  # U rows
    labeled_rows: Int64[Tensor, " L"] | None = None  # indices into the labeled rows of the data
    unlabeled_rows: Int64[Tensor, " U"] | None = None  # indices into the unlabeled rows of the training

    @property
    def second(self) -> Inputs:
        """The second view of the unlabeled rows: the augmented rows, or else the original rows again."""
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

    def pin_memory(self) -> "Batch":
        """A copy in pinned memory, from which a GPU copies while it computes."""
        return Batch(
            self.labeled.pin_memory(),
            self.labels.pin_memory(),
            None if self.original is None else self.original.pin_memory(),
            None if self.augmented is None else self.augmented.pin_memory(),
            None if self.labeled_rows is None else self.labeled_rows.pin_memory(),
            None if self.unlabeled_rows is None else self.unlabeled_rows.pin_memory(),
        )


def pad(rows: Sequence[np.ndarray], *, pad_id: int) -> Tokens:
    """Pad rows of token ids on the right, to the longest row."""
    width = max(len(row) for row in rows)
    input_ids = np.full((len(rows), width), pad_id, dtype=np.int64)
    attention_mask = np.zeros((len(rows), width), dtype=np.int64)
    for index, row in enumerate(rows):
        input_ids[index, : len(row)] = row
        attention_mask[index, : len(row)] = 1
    return Tokens(torch.from_numpy(input_ids), torch.from_numpy(attention_mask), tuple(map(len, rows)))


def concatenate(parts: Sequence[Inputs], *, pad_id: int) -> Inputs:
    """The rows of all parts, which have to be of one kind, in order."""
    if all(isinstance(part, Features) for part in parts):
        return Features(
            torch.cat([part.values for part in parts if isinstance(part, Features)]), _joined_columns(parts)
        )
    if all(isinstance(part, Embedded) for part in parts):
        embedded = [part for part in parts if isinstance(part, Embedded)]
        return Embedded(
            _concatenate_padded([part.values for part in embedded], fill=0.0),
            _concatenate_padded([part.attention_mask for part in embedded], fill=0),
            _joined_lengths(embedded),
            _joined_columns(parts),
        )
    tokens = [part for part in parts if isinstance(part, Tokens)]
    assert len(tokens) == len(parts), "token ids, embeddings and features do not mix in a batch"
    return Tokens(
        _concatenate_padded([part.input_ids for part in tokens], fill=pad_id),
        _concatenate_padded([part.attention_mask for part in tokens], fill=0),
        _joined_lengths(tokens),
        _joined_columns(parts),
    )


def pad_to_width(inputs: Inputs, width: int, *, pad_id: int) -> Inputs:
    """The same rows, padded to T = `width`, which is at least the present T."""
    if isinstance(inputs, Tokens):
        ids = _pad_tensor(inputs.input_ids, width, fill=pad_id)
        return replace(inputs, input_ids=ids, attention_mask=_pad_tensor(inputs.attention_mask, width, fill=0))
    if isinstance(inputs, Embedded):
        values = _pad_tensor(inputs.values, width, fill=0.0)
        return replace(inputs, values=values, attention_mask=_pad_tensor(inputs.attention_mask, width, fill=0))
    return inputs


def pad_left(inputs: Tokens | Embedded) -> Tokens | Embedded:
    """The same rows, with the padding before the first token instead of after the last one."""
    mask = inputs.attention_mask
    positions = torch.arange(mask.shape[1], device=mask.device)
    padding = mask.shape[1] - (mask * (positions + 1)).amax(dim=1, keepdim=True)  # (B, 1)
    source = (positions - padding) % mask.shape[1]  # (B, T) the position that each position reads
    shifted = mask.gather(1, source)
    if isinstance(inputs, Tokens):
        return Tokens(inputs.input_ids.gather(1, source), shifted, columns=inputs.columns)
    values = inputs.values.gather(1, source[..., None].expand_as(inputs.values))
    return Embedded(values, shifted, columns=inputs.columns)


def padded_width(inputs: Inputs) -> int:
    """T, or 0 for features."""
    return 0 if isinstance(inputs, Features) else inputs.attention_mask.shape[1]


def _take(rows: Int64[Tensor, " R"], width: int | None, *parts: Tensor) -> tuple[Tensor, ...]:
    rows = rows.to(parts[0].device, non_blocking=True)
    return tuple(part[rows, :width] for part in parts)


def _rows_of(columns: Tensor | None, rows: Int64[Tensor, " R"]) -> Tensor | None:
    return None if columns is None else columns[rows.to(columns.device, non_blocking=True)]


def _to(columns: Tensor | None, device: torch.device) -> Tensor | None:
    return None if columns is None else columns.to(device, non_blocking=True)


def _pinned(columns: Tensor | None) -> Tensor | None:
    return None if columns is None else columns.pin_memory()


def _joined_columns(parts: Sequence[Inputs]) -> Tensor | None:
    columns = [part.columns for part in parts if part.columns is not None]
    assert len(columns) in (0, len(parts)), "all rows of a batch have columns, or none has"
    return torch.cat(columns) if columns else None


def _lengths_of(rows: Int64[Tensor, " R"], width: int | None, lengths: Lengths | None) -> Lengths | None:
    """Of these rows, cut to `width`; None if it would take a wait for the GPU."""
    if lengths is None or rows.device.type != "cpu":
        return None
    return tuple(lengths[row] if width is None else min(lengths[row], width) for row in rows.tolist())


def _joined_lengths(parts: Sequence[Tokens] | Sequence[Embedded]) -> Lengths | None:
    known = [part.lengths for part in parts]
    return None if None in known else tuple(length for lengths in known for length in lengths or ())


def _concatenate_padded(parts: Sequence[Shaped[Tensor, "_ _ *D"]], *, fill: float) -> Shaped[Tensor, "_ _ *D"]:
    """Tensors of different T, filled on the right to the largest T."""
    width = max(part.shape[1] for part in parts)
    return torch.cat([_pad_tensor(part, width, fill=fill) for part in parts])


def _pad_tensor(values: Shaped[Tensor, "B T *D"], width: int, *, fill: float) -> Shaped[Tensor, "B {width} *D"]:
    return pad_right(values, (0, 0) * (values.ndim - 2) + (0, width - values.shape[1]), value=fill)
