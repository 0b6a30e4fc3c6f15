"""Labeled rows from a stream, in compact form, with one name for each class."""

import logging
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from text_uda.data.corpus import Rows
from text_uda.data.label_spelling import alike, are_numbers, minus_one_means_none, one_spelling, words_for_no_label
from text_uda.data.texts import distinct_places, keep, take_texts, text_keys
from text_uda.errors import DataError, listed
from translation_cache.keyset import KeySet

log = logging.getLogger("text_uda")

LabeledRow = tuple[int, str, str | None]  # (row number in its file, from 1; text; label name, None for no label)


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

    def take(self, places: np.ndarray) -> "Labeled":
        """The rows at these indices (M,)."""
        return Labeled(self.numbers[places], take_texts(self.texts, places), self.codes[places], self.names)

    def present_labels(self) -> list[str]:
        return [self.names[code] for code in np.unique(self.codes)]

    def rows(self, classes: Sequence[str]) -> Rows:
        """The rows with labels as indices into `classes`. Raises DataError if a label is none of them."""
        index_of = {name: index for index, name in enumerate(classes)}
        for name in self.present_labels():
            if name not in index_of:
                raise DataError(
                    f"label {_with_rows(self, [name])} is none of the classes ({listed(classes)}); correct it"
                )
        # A name without a row can be none of the classes: its code does not occur.
        label_of_code = np.array([index_of.get(name, -1) for name in self.names], dtype=np.int64)
        return Rows(self.texts, tuple(label_of_code[self.codes].tolist()))


def collect(
    rows: Iterable[LabeledRow], source: object = "the data", *, classes: Sequence[str] | None = None
) -> Labeled:
    """The rows with a label; see `collect_parts`."""
    return collect_parts(rows, source, classes=classes)[0]


def collect_parts(
    rows: Iterable[LabeledRow],
    source: object = "the data",
    *,
    classes: Sequence[str] | None = None,
    column: str | None = None,
) -> tuple[Labeled, Labeled]:
    """(the rows with a label, the rows without one), with one name for each class.

    Doubtful labels, and rows without a label, are logged with their row.

    Args:
        source: named in messages.
        classes: the classes that the labels already name. They keep these names, since the labels of one file can
            have another spelling without those of the others: true and false are False and True, unless a third
            label is "unknown".
        column: of the labels, for messages.
    Raises:
        DataError: a label such as "nan" stands among numbers.
    """
    numbers, codes = array("q"), array("q")
    names: dict[str, int] = {}

    def texts() -> Iterator[str]:
        for number, text, label in rows:
            numbers.append(number)
            codes.append(-1 if label is None else names.setdefault(label, len(names)))
            yield text

    sequence = keep(texts())
    spelled = Labeled(np.array(numbers, dtype=np.int64), sequence, np.array(codes, dtype=np.int64), tuple(names))
    blank = spelled.take(np.flatnonzero(spelled.codes < 0))
    if len(blank) == len(spelled):
        return spelled.take(np.zeros(0, dtype=np.int64)), spelled
    if len(blank):
        log.warning(
            "%s: %d of %d rows have no label (the first is row %d): they are unlabeled texts%s",
            source,
            len(blank),
            len(spelled),
            blank.numbers[0],
            "" if column is None else f" of {column!r}",
        )
        spelled = spelled.take(np.flatnonzero(spelled.codes >= 0))
    if classes is not None:
        return spelled, blank
    labeled = _with_one_spelling(spelled, source)
    _check_labels(labeled, source)
    return labeled, blank


def noting_blanks(rows: Iterable[tuple[int, str, str | None]], without: list[int]) -> Iterator[tuple[int, str, str]]:
    """The rows with a label; the numbers of the others are appended to `without`."""
    for number, text, label in rows:
        if label is None:
            without.append(number)
        else:
            yield number, text, label


def _with_one_spelling(labeled: Labeled, source: object) -> Labeled:
    """The rows with the spellings of one class joined; a join is logged."""
    class_of = one_spelling(labeled.names)
    names = tuple(dict.fromkeys(class_of[name] for name in labeled.names))
    for joined in names if len(names) < len(labeled.names) else ():
        spellings = [name for name in labeled.names if class_of[name] == joined]
        if len(spellings) > 1:
            log.warning("%s: labels %s are one class, %r", source, _with_rows(labeled, spellings), joined)
    if names == labeled.names:
        return labeled
    code_of = np.array([names.index(class_of[name]) for name in labeled.names], dtype=np.int64)
    return Labeled(labeled.numbers, labeled.texts, code_of[labeled.codes], names)


def _check_labels(labeled: Labeled, source: object) -> None:
    """Warns of labels that may mean no label, or that may be misspelled."""
    for name in words_for_no_label(labeled.names):
        others = [other for other in labeled.names if other != name]
        rows = _with_rows(labeled, [name])
        if len(others) > 1 and are_numbers(others):
            raise DataError(f"{source}: label {rows} stands among numbers and is no label; leave the field empty")
        log.warning(
            "%s: label %s is read as a class of this name; if it means no label, leave the field empty", source, rows
        )
    if minus_one_means_none(labeled.names):
        log.warning(
            "%s: label %s is read as a class; in many data sets -1 means no label: leave the field empty there",
            source,
            _with_rows(labeled, ["-1"]),
        )
    for group in alike(labeled.names):
        log.warning(
            "%s: labels %s differ only by case or blanks and are different classes", source, _with_rows(labeled, group)
        )


def _with_rows(labeled: Labeled, names: Sequence[str]) -> str:
    """The labels, each with its first row and the number of its rows."""
    places = (np.flatnonzero(labeled.codes == labeled.names.index(name)) for name in names)
    return " and ".join(
        f"{name!r} (row {labeled.numbers[place[0]]}{f' and {len(place) - 1:,} more' if len(place) > 1 else ''})"
        for name, place in zip(names, places, strict=True)
    )


def deduplicate(rows: Rows) -> tuple[Rows, Rows]:
    """(the first row of each text, the other rows)."""
    repeated = np.ones(len(rows), dtype=bool)
    repeated[distinct_places(rows.texts)] = False
    return rows.take(np.flatnonzero(~repeated)), rows.take(np.flatnonzero(repeated))
