"""Labeled rows from a stream, in compact form."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from text_uda.data.corpus import Rows
from text_uda.data.texts import distinct_places, keep, text_keys
from translation_cache.keyset import KeySet

LabeledRow = tuple[int, str, str]  # (row number in its file, from 1; text; label name)


@dataclass(frozen=True)
class Labeled:
    """N rows in order; memory is 16 bytes per row, and the texts."""

    numbers: np.ndarray  # (N,) int64
    texts: Sequence[str]
    codes: np.ndarray  # (N,) int64, into `names`
    names: tuple[str, ...]  # in the order of their first occurrence

    def __len__(self) -> int:
        return len(self.texts)

    def conflicts(self) -> np.ndarray:
        """The numbers of the rows whose text occurs earlier with another label."""
        keys = KeySet(text_keys(self.texts))
        return self.numbers[self.codes != self.codes[keys.first()[keys.inverse]]]

    def present_labels(self) -> list[str]:
        return [self.names[code] for code in np.unique(self.codes)]

    def rows(self, classes: Sequence[str]) -> Rows:
        """The rows with labels as indices into `classes`, which must contain all present labels."""
        index_of = {name: index for index, name in enumerate(classes)}
        label_of_code = np.array([index_of.get(name, -1) for name in self.names], dtype=np.int64)
        return Rows(self.texts, tuple(label_of_code[self.codes].tolist()))


def collect(rows: Iterable[LabeledRow]) -> Labeled:
    numbers, codes = array("q"), array("q")
    names: dict[str, int] = {}

    def texts() -> Iterator[str]:
        for number, text, label in rows:
            numbers.append(number)
            codes.append(names.setdefault(label, len(names)))
            yield text

    sequence = keep(texts())
    return Labeled(np.array(numbers, dtype=np.int64), sequence, np.array(codes, dtype=np.int64), tuple(names))


def deduplicate(rows: Rows) -> tuple[Rows, Rows]:
    """(the first row of each text, the other rows)."""
    repeated = np.ones(len(rows), dtype=bool)
    repeated[distinct_places(rows.texts)] = False
    return rows.take(np.flatnonzero(~repeated)), rows.take(np.flatnonzero(repeated))
