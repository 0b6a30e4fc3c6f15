"""The other columns of a row: numbers, categories, vectors. A text that has them is a `RowText`.

A `RowText` is its text to all who read texts: tokenizers, augmentations, caches. It equals another only where the
columns are equal too, so rows are keyed by text and columns: duplicates, splits, the pool, overlaps with the test side.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

import numpy as np

from text_uda.data.label_spelling import label_of, one_name
from text_uda.errors import DataError, listed

ColumnKind = Literal["numeric", "categorical", "vector"]

Value = float | str | bytes | None
"""A number, a category, a vector as the bytes of its float32 numbers, or None where it is missing."""

ReadRow = Callable[[int, Mapping[str, Any], str], str]
"""(row number, fields, text) -> the text with its columns."""

_LARGEST = 1e30  # the squares of larger numbers leave the range of float64 sums


class RowText(str):
    """A text with the values of the other columns of its row."""

    __slots__ = ("columns", "key", "values")

    columns: "OtherColumns"
    values: tuple[Value, ...]
    """In the order of `columns.names`."""
    key: str
    """32 hex digits over the values."""

    def __new__(cls, text: str, columns: "OtherColumns", values: Sequence[Value]) -> "RowText":
        row = super().__new__(cls, text)
        row.columns, row.values = columns, tuple(values)
        content = [value.hex() if isinstance(value, bytes | float) else value for value in row.values]
        row.key = hashlib.blake2b(json.dumps(content).encode("ascii"), digest_size=16).hexdigest()
        return row

    def __getnewargs__(self) -> tuple[Any, ...]:
        return str(self), self.columns, self.values

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RowText) and str.__eq__(self, other) and self.key == other.key

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash((str(self), self.key))

    def __lt__(self, other: str) -> bool:
        """By text, then by columns, so that a sorted pool does not depend on the order of a file."""
        return _order_of(self) < _order_of(other)

    def __le__(self, other: str) -> bool:
        return _order_of(self) <= _order_of(other)

    def __gt__(self, other: str) -> bool:
        return _order_of(self) > _order_of(other)

    def __ge__(self, other: str) -> bool:
        return _order_of(self) >= _order_of(other)


def _order_of(text: str) -> tuple[str, str]:
    return str(text), text.key if isinstance(text, RowText) else ""


def row_key(text: str) -> str:
    """A string that equal rows share: of a text without columns it is the text."""
    return f"{text}\0{text.key}" if isinstance(text, RowText) else text


def plain_texts(texts: Sequence[str]) -> Sequence[str]:
    """The texts without their columns."""
    return tuple(map(str, texts)) if columns_of(texts) else texts


def fields_of(text: str) -> dict[str, Any]:
    """The values of its columns by name, from which `OtherColumns.reader` reads the same; none of a text alone."""
    if not isinstance(text, RowText):
        return {}
    values = [np.frombuffer(value, "<f4").tolist() if isinstance(value, bytes) else value for value in text.values]
    return dict(zip(text.columns.names, values, strict=True))


def columns_of(texts: Sequence[str]) -> "OtherColumns":
    """The columns of the texts, which all have the same; none of texts alone."""
    first = texts[0] if len(texts) else None
    return first.columns if isinstance(first, RowText) else NO_COLUMNS


@dataclass(frozen=True)
class OtherColumns:
    """The names of the columns that are read beside the text."""

    numeric: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    vector: tuple[str, ...] = ()

    @staticmethod
    def named(
        numeric: str | Iterable[str] | None = None,
        categorical: str | Iterable[str] | None = None,
        vector: str | Iterable[str] | None = None,
    ) -> "OtherColumns":
        """Raises DataError if a column is named twice."""
        kinds = (
            (kind,) if isinstance(kind, str) else tuple(map(str, kind or ())) for kind in (numeric, categorical, vector)
        )
        columns = OtherColumns(*kinds)
        for name in columns.names:
            if columns.names.count(name) > 1:
                raise DataError(f"the column {name!r} is named twice; it is numeric, categorical or a vector")
        return columns

    @property
    def names(self) -> tuple[str, ...]:
        return self.numeric + self.categorical + self.vector

    def __bool__(self) -> bool:
        return bool(self.names)

    def __iter__(self) -> Iterator[tuple[str, ColumnKind]]:
        """(name, kind) of each column, in the order of `names`."""
        kinds: tuple[tuple[ColumnKind, tuple[str, ...]], ...] = (
            ("numeric", self.numeric),
            ("categorical", self.categorical),
            ("vector", self.vector),
        )
        return chain.from_iterable(((name, kind) for name in names) for kind, names in kinds)

    def record(self) -> dict[str, list[str]]:
        """For config.json."""
        return {"numeric": [*self.numeric], "categorical": [*self.categorical], "vector": [*self.vector]}

    def reader(
        self,
        source: object,
        present: Sequence[str],
        where: Callable[[int], str],
        *,
        but: Iterable[str | None] = (),
        of_run: bool = False,
        lengths: Mapping[str, int] | None = None,
    ) -> ReadRow:
        """Reads the columns of the rows of one table, whose vectors have one length.

        Args:
            source: named in messages.
            present: the columns of the table.
            where: the place of a row in words.
            but: the columns of the text and of the label.
            of_run: a trained model reads the columns, so none can be left out.
            lengths: numbers of the vectors that the model was trained on, by column; else the first row decides.
        Raises:
            DataError: the table lacks a column, or it is that of the text or the label.
        """
        if not self:
            return lambda _number, _fields, text: text
        if absent := [name for name in self.names if name not in present]:
            others = f"; it has: {listed(present)}" if present else ""
            raise DataError(
                f"{source} has no column {' and no '.join(map(repr, absent))}{others}. "
                + (
                    f"The run reads {listed(self.names)} beside the text: add what is missing (it can be blank)"
                    if of_run
                    else "Each file needs the same columns: add it (it can be blank), or leave it out (--numeric,"
                    " --categorical, --vector)"
                )
            )
        if taken := set(self.names) & set(but):
            raise DataError(
                f"{source}: {min(taken)!r} is the text or the label, which says the class or is read anyway; leave it"
                " out (--numeric, --categorical, --vector)"
            )
        # column -> (bytes of its vectors, whose they are)
        known = {name: (4 * length, "those in training have") for name, length in (lengths or {}).items()}

        def read(number: int, fields: Mapping[str, Any], text: str) -> str:
            values: list[Value] = []
            for name, kind in self:
                try:
                    value = _READ[kind](fields.get(name))
                    if isinstance(value, bytes):
                        length, whose = known.setdefault(name, (len(value), f"that of row {number} has"))
                        if length != len(value):
                            raise ValueError(
                                f"has {len(value) // 4:,} numbers, and {whose} {length // 4:,}; the vectors of a column"
                                " have one length"
                            )
                except ValueError as error:
                    words, *for_new_runs = error.args
                    raise DataError(
                        f"{where(number)}: {name!r} {words}{'' if of_run else ''.join(for_new_runs)}"
                    ) from error
                values.append(value)
            return RowText(text, self, values)

        return read


NO_COLUMNS = OtherColumns()


def _number(value: Any) -> float | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, list | dict | tuple | np.ndarray):
        raise ValueError(f"is {value!r:.40}, not a number; a list of numbers is a --vector")
    try:
        number = _float(value)
    except OverflowError:
        raise ValueError(_too_large("an integer")) from None
    except (TypeError, ValueError):
        raise ValueError(
            f"is {value!r:.40}, not a number; correct it", ", or read the column as --categorical, or leave it out"
        ) from None
    if math.isnan(number):
        return None
    if abs(number) > _LARGEST:  # also an infinity
        raise ValueError(_too_large(number))
    return number + 0.0  # -0.0 is 0.0


def _float(value: Any) -> float:
    """Raises ValueError for what Python alone takes for a number: 1_000, bytes; OverflowError for a large integer."""
    if isinstance(value, bytes) or (isinstance(value, str) and "_" in value):
        raise ValueError
    return float(value)


def _too_large(number: object) -> str:
    return f"is {number}, and numbers are finite, at most {_LARGEST:g}; leave it blank where it is missing"


def _category(value: Any) -> str | None:
    if isinstance(value, list | dict | tuple | np.ndarray):
        raise ValueError(f"is {value!r:.40}, not one category; a list of numbers is a --vector")
    category = label_of(value)
    return None if category is None else one_name(category)


def _vector(value: Any) -> bytes | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):  # also an integer of too many digits
            raise ValueError(f"is {value!r:.40}, not a list of numbers such as [0.1, 0.2]; correct it") from None
    try:
        vector = np.asarray(value, dtype=np.float64)
        if isinstance(value, list | tuple) and any(isinstance(number, str | bytes) for number in value):
            raise ValueError
    except OverflowError:
        raise ValueError("has a number above 1e30; leave the whole vector blank instead") from None
    except (TypeError, ValueError):
        raise ValueError(f"is {value!r:.40}, not a list of numbers; correct it") from None
    if vector.ndim != 1 or not len(vector):
        raise ValueError(f"is {value!r:.40}, not a list of numbers; a single number is --numeric")
    if not (np.abs(vector) <= _LARGEST).all():  # also NaN and the infinities
        raise ValueError("has a number that is missing, not finite or above 1e30; leave the whole vector blank instead")
    return (vector + 0.0).astype("<f4").tobytes()


_READ: Mapping[ColumnKind, Callable[[Any], Value]] = {
    "numeric": _number,
    "categorical": _category,
    "vector": _vector,
}
