"""Records of csv and tsv files, whose delimiter, quotes and header are inferred; every doubtful choice is logged."""

import csv
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

from text_uda.data.column_names import is_usual
from text_uda.data.plain_text import PlainText
from text_uda.data.quotes import QuoteReading, choose_quotes
from text_uda.errors import DataError

log = logging.getLogger("text_uda")

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}

_BLOCK_ROWS = 1024
_SAMPLE_ROWS = 1000
_MOST_CLASSES = 50
_NUMBER = re.compile(r"\s*-?\d+(\.\d+)?\s*")
_ESCAPED_QUOTE = re.compile(r'(?<!\\)((?:\\\\)*)\\"')

Row = tuple[int, list[str]]  # (number of its last line, fields)


class Delimited:
    """The columns and the rows of a file.

    Args:
        usual: the delimiter that the name of the file promises.
        named: columns that the user named: a first row with one of them is a header.
    Raises:
        DataError: the quotes or the header are invalid.
    """

    def __init__(self, text: PlainText, usual: str, named: Sequence[str | None] = ()) -> None:
        self._text = text
        self._delimiter = _delimiter(text, usual)
        self._reading: QuoteReading = choose_quotes(
            text, self._delimiter, lambda reading, lines: fields(text, self._delimiter, reading, lines)
        )
        sample = [row for _, row in self._rows(_SAMPLE_ROWS)]
        self._has_header = _has_header(text, sample, named)
        header = [name.strip() for name in sample[0]] if self._has_header else _names(sample)
        # A spreadsheet exports empty columns without a name.
        self._places = [place for place, name in enumerate(header) if name or header.count(name) == 1]
        self.width, self.columns = len(header), [header[place] for place in self._places]
        if len(set(self.columns)) < len(self.columns):
            twice = next(name for name in self.columns if self.columns.count(name) > 1)
            raise DataError(f"{text.path}: column {twice!r} occurs twice in the header; rename one")
        if not self._has_header:
            log.warning(
                "%s: row 1 is read as data, for it looks like the rows below it; the columns are called %s. If it is "
                "a header, rename its columns, for example label and text",
                text.path,
                ", ".join(self.columns),
            )

    def records(self, _columns: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
        for number, row in islice(self._rows(), int(self._has_header), None):
            if len(row) != self.width:
                raise DataError(
                    f"{self._text.path}, row {number}: {len(row)} fields where the header has {self.width}; "
                    f"quote texts that hold a {DELIMITERS[self._delimiter]}, or use a .jsonl file"
                )
            yield number, {name: row[place] for name, place in zip(self.columns, self._places, strict=True)}

    def _rows(self, limit: int | None = None) -> Iterator[Row]:
        rows = fields(self._text, self._delimiter, self._reading)
        try:
            yield from islice(rows, limit)
        except csv.Error as error:
            raise DataError(f"{self._text.path}, {error}; check the quotes of that row") from error


def fields(text: PlainText, delimiter: str, reading: QuoteReading, lines: list[str] | None = None) -> Iterator[Row]:
    """The rows without blank lines.

    Args:
        lines: receives each line as it is read, up to a block ahead of the rows; the caller shortens it.
    Raises:
        csv.Error: the quotes are invalid; the message names the row.
    """
    quoting = csv.QUOTE_NONE if reading == "literal" else csv.QUOTE_MINIMAL
    last_line = 0  # of the last complete row
    with text.open() as file:
        source: Iterator[str] = file
        if reading == "escaped":
            source = (_ESCAPED_QUOTE.sub(r'\1""', line) for line in source)
        if lines is not None:
            source = _kept(source, lines)
        reader = csv.reader(source, delimiter=delimiter, quoting=quoting, strict=True)
        while True:
            block = []
            before = csv.field_size_limit(text.characters + 1)  # global to the process: reset before other code runs
            try:
                for row in islice(reader, _BLOCK_ROWS):
                    last_line = reader.line_num
                    block.append((last_line, row))
            except csv.Error as error:
                # An unclosed quote extends to the end of the file: the row after the last complete one opened it.
                raise csv.Error(f"row {last_line + 1}: {error}") from error
            finally:
                csv.field_size_limit(before)
            if not block:
                return
            if block[0] == (1, ["sep=", ""]):  # Excel's first line names the delimiter
                del block[0]
            yield from (numbered for numbered in block if numbered[1])


def _kept(lines: Iterator[str], kept: list[str]) -> Iterator[str]:
    for line in lines:
        kept.append(line)
        yield line


def _delimiter(text: PlainText, usual: str) -> str:
    """The usual delimiter, or the one that alone splits the first rows into equal numbers of fields."""
    samples = {delimiter: _sample(text, delimiter) for delimiter in dict.fromkeys((usual, *DELIMITERS))}
    widths = {delimiter: {len(row) for row in rows} for delimiter, rows in samples.items()}
    if len(widths[usual]) == 1 and widths[usual] != {1}:
        return usual
    equal = {delimiter: min(found) for delimiter, found in widths.items() if len(found) == 1 and min(found) > 1}
    if not equal and len(samples[usual][0]) == 1:  # a row is defective: does another delimiter give a header?
        equal = {
            delimiter: len(rows[0])
            for delimiter, rows in samples.items()
            if len(rows[0]) > 1 and any(map(is_usual, rows[0]))
        }
    if not equal:
        return usual
    delimiter = max(equal, key=lambda name: equal[name])
    log.warning(
        "%s: the columns are separated by a %s (not by a %s)", text.path, DELIMITERS[delimiter], DELIMITERS[usual]
    )
    return delimiter


def _sample(text: PlainText, delimiter: str) -> list[list[str]]:
    readings: tuple[QuoteReading, ...] = ("quoted", "escaped", "literal") if text.has_quotes else ("literal",)
    rows: list[list[str]] = []
    for reading in readings:
        with suppress(csv.Error):
            rows = [row for _, row in islice(fields(text, delimiter, reading), _SAMPLE_ROWS)]
            if len({len(row) for row in rows}) == 1:
                break
    return rows


def _has_header(text: PlainText, sample: Sequence[Sequence[str]], named: Sequence[str | None]) -> bool:
    """Whether the first row has names of columns: it has a usual name, or does not look like the rows below it."""
    first, rows = sample[0], [row for row in sample[1:] if len(row) == len(sample[0])]
    if any(is_usual(name) or name.strip() in named for name in first):
        return True
    if len(first) == 1:
        if rows and " " in first[0].strip():
            log.warning("%s: row 1 (%.40r) is read as the name of the column, not as a text", text.path, first[0])
        return True
    if not rows:
        return True
    columns = list(zip(*rows, strict=True))
    numbers = any(
        _NUMBER.fullmatch(name) and all(map(_NUMBER.fullmatch, column))
        for name, column in zip(first, columns, strict=True)
    )
    return not numbers and not any(first[place] in set(columns[place]) for place in _class_columns(columns))


def _names(sample: Sequence[Sequence[str]]) -> list[str]:
    """Names for the columns of a file without header: the longest is the text, the one of classes the label."""
    columns = list(zip(*(row for row in sample if len(row) == len(sample[0])), strict=True))
    names = [f"column {place + 1}" for place in range(len(columns))]
    length = [sum(map(len, column)) for column in columns]
    text = length.index(max(length))
    names[text] = "text"
    classes = [place for place in _class_columns(columns) if place != text]
    if classes:
        names[min(classes, key=lambda place: len(set(columns[place])))] = "label"
    return names


def _class_columns(columns: Sequence[Sequence[str]]) -> list[int]:
    """The columns with few values, each of them in many rows."""
    return [
        place
        for place, column in enumerate(columns)
        if any(column) and len(set(column)) <= min(_MOST_CLASSES, len(column) // 2)
    ]
