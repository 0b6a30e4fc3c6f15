"""Columns as numbers: a scaler and a vocabulary for each, fitted on training rows alone.

    numeric       (x - mean) / deviation, at most 10 either way; 0 where it is missing
    categorical   1 at its category, in any spelling, or at "unseen": one of fewer than two training rows, or of none
    vector        each number as a numeric one; zeros where it is missing

and for each column a further number that is 1 where it is missing.

Shapes: N rows, B rows of a batch, M numbers of a row.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from text_uda.data.label_spelling import class_finder, one_spelling
from text_uda.data.row_columns import ColumnKind, OtherColumns, RowText, Value, columns_of
from text_uda.errors import DataError, SettingsError, listed
from text_uda.model import keyed_tensors
from text_uda.model.inputs import Inputs
from text_uda.model.tokenized import ModelRows

log = logging.getLogger("text_uda")

MOST_CATEGORIES = 1000
_MOST_DEVIATIONS = 10.0
_BLOCK = 4096  # rows in float64 at the same time
_UNSEEN_BELOW = 2  # training rows of a category; rarer ones teach the model what an unseen category is


@dataclass(frozen=True)
class FittedColumn:
    """How one column becomes numbers."""

    name: str
    kind: ColumnKind
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()
    """Of a number, or of each number of a vector."""
    categories: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Its numbers, the last of which says that it is missing."""
        return 1 + (len(self.categories) + 1 if self.kind == "categorical" else len(self.mean))

    def encode(self, values: Sequence[Value]) -> np.ndarray:
        """(N, size) float32."""
        encoded = np.zeros((len(values), self.size), dtype=np.float32)
        encoded[:, -1] = [value is None for value in values]
        present = [index for index, value in enumerate(values) if value is not None]
        if not present:
            return encoded
        if self.kind == "categorical":
            unseen = len(self.categories)
            places = [self._place(str(values[index])) for index in present]
            encoded[present, places] = 1.0
            self._warn_if_most_are_unseen(
                present, [values[index] for index, place in zip(present, places, strict=True) if place == unseen]
            )
        else:
            numbers = _numbers([values[index] for index in present], self.name, len(self.mean))
            for start in range(0, len(present), _BLOCK):
                scaled = (numbers[start : start + _BLOCK] - np.asarray(self.mean)) / np.asarray(self.deviation)
                encoded[present[start : start + _BLOCK], :-1] = scaled.clip(-_MOST_DEVIATIONS, _MOST_DEVIATIONS)
        return encoded

    @cached_property
    def _place(self) -> Callable[[str], int]:
        """From a category to its place, that of "unseen" for others."""
        place = {category: index for index, category in enumerate(self.categories)}
        name_of = class_finder(self.categories, term=f"{self.name!r}:")
        return lambda category: place.get(name_of(category) or "", len(place))

    def _warn_if_most_are_unseen(self, present: Sequence[int], unseen: Sequence[Value]) -> None:
        """Once for a column: of a service of single rows it would be a line for each."""
        if 2 * len(unseen) <= len(present) or "warned" in self.__dict__:
            return
        self.__dict__["warned"] = True
        log.warning(
            "the column %r: %d of %d values, such as %r, are no category of two or more training rows (%s), so they"
            " say no more than that they are unseen; correct their spelling, or leave the column out",
            self.name,
            len(unseen),
            len(present),
            unseen[0],
            listed(self.categories, most=5) if self.categories else "there is none",
        )


@dataclass(frozen=True)
class FittedColumns:
    """The columns of a run, as a model reads them."""

    columns: tuple[FittedColumn, ...]

    @staticmethod
    def fit(*training: Sequence[str]) -> "FittedColumns":
        """Fit on training rows, labeled and unlabeled, which are `RowText`s. A row in both counts once.

        Raises:
            DataError: rows have other columns, a vector another length, or a column more than 1,000 categories.
        """
        rows = [*dict.fromkeys(row for texts in training for row in texts)]
        others = columns_of(rows)
        _check_rows(rows, others)
        return FittedColumns(
            tuple(
                _fit(name, kind, [row.values[index] for row in rows if isinstance(row, RowText)])
                for index, (name, kind) in enumerate(others)
            )
        )

    @property
    def names(self) -> OtherColumns:
        def of(kind: ColumnKind) -> tuple[str, ...]:
            return tuple(column.name for column in self.columns if column.kind == kind)

        return OtherColumns(of("numeric"), of("categorical"), of("vector"))

    @property
    def size(self) -> int:
        """M."""
        return sum(column.size for column in self.columns)

    @property
    def vector_lengths(self) -> dict[str, int]:
        """Numbers of the vectors of each column of vectors."""
        return {column.name: len(column.mean) for column in self.columns if column.kind == "vector"}

    @cached_property
    def _parts(self) -> list[slice]:
        stops = np.cumsum([column.size for column in self.columns]).tolist()
        return [slice(stop - column.size, stop) for stop, column in zip(stops, self.columns, strict=True)]

    def encode(self, texts: Sequence[str]) -> Float[Tensor, "N M"]:
        """The columns of rows.

        Raises:
            SettingsError: they are texts alone, or have other columns.
            DataError: a vector has another length.
        """
        _check_rows(texts, self.names)
        values = [row.values for row in texts if isinstance(row, RowText)]
        parts = [column.encode([row[index] for row in values]) for index, column in enumerate(self.columns)]
        return torch.from_numpy(np.concatenate(parts, axis=1))

    def dropped(self, columns: Float[Tensor, "B M"], share: float, key: int) -> Float[Tensor, "B M"]:
        """Column dropout: each column of a row is missing with probability `share`, whatever the others are.

        Args:
            key: of the draws, 63 bits; each step has its own.
        """
        keys = keyed_tensors.row_keys(key, len(columns), device=columns.device)
        drawn = keyed_tensors.uniform(keys, len(self.columns)) < share  # (B, columns)
        result = columns.clone()
        for number, part in enumerate(self._parts):
            missing = torch.zeros_like(columns[:, part])
            missing[:, -1] = 1.0
            result[:, part] = torch.where(drawn[:, number, None], missing, columns[:, part])
        return result

    def record(self) -> list[dict[str, Any]]:
        """For a JSON file."""
        return [
            {
                "name": column.name,
                "kind": column.kind,
                **(
                    {"categories": list(column.categories)}
                    if column.kind == "categorical"
                    else {"mean": list(column.mean), "deviation": list(column.deviation)}
                ),
            }
            for column in self.columns
        ]

    @staticmethod
    def from_record(record: Sequence[Mapping[str, Any]]) -> "FittedColumns":
        return FittedColumns(
            tuple(
                FittedColumn(
                    entry["name"],
                    entry["kind"],
                    tuple(entry.get("mean", ())),
                    tuple(entry.get("deviation", ())),
                    tuple(entry.get("categories", ())),
                )
                for entry in record
            )
        )


class ColumnRows:
    """Inputs of a model together with their columns, as batches by index."""

    def __init__(self, rows: ModelRows, columns: Float[Tensor, "N M"]) -> None:
        self._rows, self._columns = rows, columns

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def lengths(self) -> np.ndarray:
        return self._rows.lengths

    def shuffled(self, order: np.ndarray) -> "ColumnRows":
        """Text i with the columns of row order[i], (N,)."""
        return ColumnRows(self._rows, self._columns[torch.from_numpy(order)])

    def batch(self, indices: Sequence[int] | np.ndarray) -> Inputs:
        return with_columns(self._rows.batch(indices), self._columns[torch.as_tensor(np.asarray(indices))])


def with_columns(inputs: Inputs, columns: Float[Tensor, "B M"]) -> Inputs:
    return replace(inputs, columns=columns)


def _check_rows(rows: Sequence[str], others: OtherColumns) -> None:
    """Raise SettingsError unless all rows have these columns."""
    for number, row in enumerate(rows, start=1):
        columns = row.columns if isinstance(row, RowText) else None
        if columns != others:
            has = f"the columns {listed(columns.names)}" if columns else "no columns"
            raise SettingsError(
                f"row {number} ({str(row)[:40]!r}) has {has} beside the text, and {listed(others.names)} are needed:"
                " read all rows with the same columns (numeric=, categorical=, vector= of `load`)"
            )


def _fit(name: str, kind: ColumnKind, values: Sequence[Value]) -> FittedColumn:
    present = [value for value in values if value is not None]
    if not present:
        raise DataError(f"the column {name!r} is blank in all {len(values):,} training rows: leave it out")
    if kind == "categorical":
        name_of = one_spelling(tuple(dict.fromkeys(map(str, present))))
        counts = Counter(name_of[str(value)] for value in present)
        if len(counts) > MOST_CATEGORIES:
            raise DataError(
                f"the column {name!r} has {len(counts):,} categories in {len(values):,} training rows, and at most"
                f" {MOST_CATEGORIES:,} are read: group rare ones, or leave it out (is it an id, or a text?)"
            )
        return FittedColumn(
            name, kind, categories=tuple(sorted(c for c, rows in counts.items() if rows >= _UNSEEN_BELOW))
        )
    numbers = _numbers(present, name)
    mean, deviation = _moments(numbers)
    constant = numbers.min(axis=0) == numbers.max(axis=0)  # the rounding of a mean makes a deviation of equal numbers
    if constant.all():
        log.warning("the column %r has one value in all training rows, and says nothing of a row", name)
    mean, deviation = np.where(constant, numbers[0], mean), np.where(constant, 1.0, deviation)
    return FittedColumn(name, kind, tuple(mean.tolist()), tuple(deviation.tolist()))


def _moments(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each column of (N, K), in float64 and in blocks, so that no copy is needed."""
    blocks = [numbers[start : start + _BLOCK] for start in range(0, len(numbers), _BLOCK)]
    mean = sum(block.sum(axis=0, dtype=np.float64) for block in blocks) / len(numbers)
    variance = sum(np.square(block - mean).sum(axis=0) for block in blocks) / len(numbers)
    return np.asarray(mean), np.sqrt(variance)


def _numbers(values: Sequence[Value], name: str, length: int | None = None) -> np.ndarray:
    """(N, numbers of one value), of numbers in float64, or of vectors in the float32 that they have."""
    vectors = [value for value in values if isinstance(value, bytes)]
    if not vectors:
        return np.array(values, dtype=np.float64)[:, None]
    lengths = {len(vector) // 4 for vector in vectors} | ({length} if length is not None else set())
    if len(lengths) > 1:
        raise DataError(
            f"the vectors of the column {name!r} have {listed(sorted(lengths))} numbers, and all need one length: the"
            " files of training, test and prediction differ"
        )
    return np.frombuffer(b"".join(vectors), "<f4").reshape(len(vectors), -1)
