"""Labeled rows as they come, of which only the texts are large."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from text_uda.data.corpus import Rows
from text_uda.data.texts import distinct_places, keep, text_keys
from translation_cache.keyset import KeySet

LabeledRow = tuple[int, str, str]  # where it stands in its file, from 1; the text; its label's name


@dataclass(frozen=True)
class Labeled:
    """Rows in their order; N rows, 16 bytes each and the texts."""

    numbers: np.ndarray  # (N,) int64
    texts: Sequence[str]
    codes: np.ndarray  # (N,) int64, into `names`
    names: tuple[str, ...]  # in the order in which they came

    def __len__(self) -> int:
        return len(self.texts)

    def conflicts(self) -> np.ndarray:
        """The numbers of those rows whose text stands before with another label."""
        keys = KeySet(text_keys(self.texts))
        return self.numbers[self.codes != self.codes[keys.first()[keys.inverse]]]

    def labels_there(self) -> list[str]:
        return [self.names[code] for code in np.unique(self.codes)]

    def rows(self, classes: Sequence[str]) -> Rows:
        """With the labels as indices of classes, which have to hold all labels that are there."""
        numbers = {name: number for number, name in enumerate(classes)}
        of_code = np.array([numbers.get(name, -1) for name in self.names], dtype=np.int64)
        return Rows(self.texts, tuple(of_code[self.codes].tolist()))


def collect(rows: Iterable[LabeledRow]) -> Labeled:
    numbers, codes = array("q"), array("q")
    names: dict[str, int] = {}

    def texts() -> Iterator[str]:
        for number, text, label in rows:
            numbers.append(number)
            codes.append(names.setdefault(label, len(names)))
            yield text

    kept = keep(texts())
    return Labeled(np.array(numbers, dtype=np.int64), kept, np.array(codes, dtype=np.int64), tuple(names))


def once(rows: Rows) -> tuple[Rows, Rows]:
    """(each text where it stands first, the other rows)."""
    repeated = np.ones(len(rows), dtype=bool)
    repeated[distinct_places(rows.texts)] = False
    return rows.take(np.flatnonzero(~repeated)), rows.take(np.flatnonzero(repeated))
