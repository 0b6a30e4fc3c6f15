"""Records of csv and tsv files, whose delimiter, quotes and header are inferred; every doubtful choice is logged."""

import csv
import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain, islice, repeat
from operator import attrgetter
from typing import Any, NamedTuple

from text_uda.data.column_names import is_usual
from text_uda.data.plain_text import MOST_BYTES, PlainText
from text_uda.data.quotes import QuoteReading, choose_quotes
from text_uda.errors import DataError, listed

log = logging.getLogger("text_uda")

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}

_BLOCK_ROWS = 1024
_SAMPLE_ROWS = 1000
_MOST_CELLS = 1 << 20  # of a block or a sample: a header can have 40,000 columns
_SAMPLE_CHARACTERS = 1 << 16
_MOST_CLASSES = 50
_NUMBER = re.compile(r"\s*-?\d+(\.\d+)?\s*")
_ESCAPED_QUOTE = re.compile(r'(?<!\\)((?:\\\\)*)\\"')

Row = tuple[list[str], int]  # (fields, number of its last line)
NumberedRow = tuple[int, list[str]]


class _Dialect(NamedTuple):
    delimiter: str
    drops_blanks: bool
    """Whether blanks after a delimiter are dropped. They have to be before quotes, which are characters else."""


class Delimited:
    """The columns and the rows of a file.

    Args:
        usual: the delimiter that the name of the file promises.
        named: columns that the user named: a first row with one of them is a header.
    Raises:
        DataError: the quotes or the header are invalid.
    """

    def __init__(self, text: PlainText, usual: str, named: Sequence[str | None] = ()) -> None:
        text.refuse_long_line()
        self._text = text
        self._dialect = _dialect(text, _delimiter(text, usual))
        self._reading: QuoteReading = choose_quotes(
            text, self._dialect.delimiter, lambda reading, lines: row_blocks(text, self._dialect, reading, lines)
        )
        if self._dialect.drops_blanks and self._reading != "literal":
            log.warning("%s: blanks after a delimiter are dropped, because quotes follow them", text.path)
        sample = _first_rows(self._rows())
        self._has_header = _has_header(text, sample, named)
        header = [name.strip() for name in sample[0]] if self._has_header else _names(sample)
        self._places = list(range(len(header)))
        if header.count("") > 1:  # a spreadsheet exports empty columns without a name
            header = self._with_names(header)
            self._places = [place for place in self._places if header[place]]
        self._repeated_headers: set[int] = set()
        self.width, self.columns = len(header), [header[place] for place in self._places]
        if len(set(self.columns)) < len(self.columns):
            twice = Counter(self.columns).most_common(1)[0][0]
            raise DataError(f"{text.path}: column {twice!r} occurs twice in the header; rename one")
        if not self._has_header:
            log.warning(
                "%s: row 1 is read as data, for it looks like the rows below it; the columns are called %s. If it is "
                "a header, rename its columns, for example label and text",
                text.path,
                listed(self.columns),
            )

    @property
    def delimiter(self) -> str:
        return self._dialect.delimiter

    def records(self, _columns: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
        all_places = len(self._places) == self.width
        rows = self._rows()
        header = next(rows, (0, []))[1] if self._has_header else None
        for number, row in rows:
            if row == header and self.width > 1:  # files joined one after the other
                if number not in self._repeated_headers:  # one warning in all passes
                    self._repeated_headers.add(number)
                    log.warning("%s, row %d: the header occurs again; the row is left out", self._text.path, number)
                continue
            if len(row) != self.width:
                raise DataError(
                    f"{self._text.path}, row {number}: {len(row)} fields where the header has {self.width}; "
                    f"quote texts that hold a {DELIMITERS[self._dialect.delimiter]}, or use a .jsonl file"
                )
            yield (
                number,
                dict(zip(self.columns, row if all_places else [row[place] for place in self._places], strict=True)),
            )

    def _with_names(self, header: Sequence[str]) -> list[str]:
        """The header with a name for each column that has none and is not blank in every row."""
        unnamed = {place for place, name in enumerate(header) if not name}
        filled = {
            place
            for _, row in islice(self._rows(), 1, None)
            if len(row) == len(header)
            for place in unnamed
            if row[place].strip()
        }
        names = [f"column {place + 1}" if place in filled else name for place, name in enumerate(header)]
        if filled:
            log.warning(
                "%s: columns without a name that are not blank are called %s",
                self._text.path,
                listed([names[place] for place in sorted(filled)]),
            )
        return names

    def _rows(self) -> Iterator[NumberedRow]:
        try:
            yield from _rows(self._text, self._dialect, self._reading)
        except csv.Error as error:
            raise DataError(f"{self._text.path}, {error}; check the quotes of that row") from error


def row_blocks(
    text: PlainText, dialect: _Dialect, reading: QuoteReading, lines: list[str] | None = None
) -> Iterator[list[Row]]:
    """The rows in lists of bounded size; a blank line is a row without fields.

    Args:
        lines: receives the lines of each block before it; the caller empties it.
    Raises:
        csv.Error: the quotes are invalid; the message names the row.
    """
    quoting = csv.QUOTE_NONE if reading == "literal" else csv.QUOTE_MINIMAL
    last_line = rows = 0  # of the complete rows
    block_rows = 1  # until the width is known
    with text.open() as file:
        source: Iterator[str] = file
        if reading == "escaped":
            source = (_ESCAPED_QUOTE.sub(r'\1""', line) for line in source)
        if lines is not None:
            source = _kept(source, lines)
        reader = csv.reader(
            source,
            delimiter=dialect.delimiter,
            skipinitialspace=dialect.drops_blanks and reading != "literal",
            quoting=quoting,
            strict=True,
        )
        numbered = zip(reader, map(attrgetter("line_num"), repeat(reader)), strict=False)  # without a loop in Python
        while True:
            block: list[Row] = []
            error: csv.Error | None = None
            before = csv.field_size_limit(MOST_BYTES)  # global to the process: reset before other code runs
            try:
                block.extend(islice(numbered, block_rows))
            except csv.Error as invalid:
                error = invalid
            finally:
                csv.field_size_limit(before)
            if block:
                last_line, rows = block[-1][1], rows + len(block)
                block_rows = max(1, min(_BLOCK_ROWS, _MOST_CELLS // (len(block[-1][0]) or 1)))
                if block[0] == (["sep=", ""], 1):  # Excel's first line names the delimiter
                    block[0] = ([], 1)
                yield block
            if error is not None:
                # An unclosed quote extends to the end of the file: the row after the last complete one opened it.
                line = f" (line {last_line + 1})" if last_line > rows else ""
                reason = str(error)
                if "field limit" in reason:
                    reason = f"a field of more than {MOST_BYTES >> 20} MB, as after a quote that is not closed"
                raise csv.Error(f"row {rows + 1}{line}: {reason}") from error
            if not block:
                return


def _rows(text: PlainText, dialect: _Dialect, reading: QuoteReading) -> Iterator[NumberedRow]:
    """The rows without blank ones, numbered as a spreadsheet does: a text with line breaks is in one row."""
    rows = chain.from_iterable(row_blocks(text, dialect, reading))
    return ((number, fields) for number, (fields, _line) in enumerate(rows, start=1) if fields)


def _first_rows(rows: Iterable[NumberedRow]) -> list[list[str]]:
    """At most _SAMPLE_ROWS rows and, beyond the first, _MOST_CELLS fields."""
    sample: list[list[str]] = []
    cells = 0
    for _, row in islice(rows, _SAMPLE_ROWS):
        cells += len(row)
        if sample and cells > _MOST_CELLS:
            break
        sample.append(row)
    return sample


def _dialect(text: PlainText, delimiter: str) -> _Dialect:
    if not text.has_quotes:
        return _Dialect(delimiter, drops_blanks=False)
    with text.open() as file:
        start = file.read(_SAMPLE_CHARACTERS)
    field = re.escape(delimiter)
    return _Dialect(delimiter, re.search(rf'{field} +"[^"]*"\s*(?:{field}|[\r\n]|$)', start) is not None)


def _kept(lines: Iterator[str], kept: list[str]) -> Iterator[str]:
    for line in lines:
        kept.append(line)
        yield line


def _delimiter(text: PlainText, usual: str) -> str:
    """The usual delimiter, or the one that alone splits the first rows into equal numbers of fields."""
    samples = {usual: _sample(text, usual)}
    if _are_equal(samples[usual]) and len(samples[usual][0]) > 1:
        return usual
    samples |= {delimiter: _sample(text, delimiter) for delimiter in DELIMITERS if delimiter != usual}
    equal = {delimiter: len(rows[0]) for delimiter, rows in samples.items() if _are_equal(rows) and len(rows[0]) > 1}
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
    dialect = _dialect(text, delimiter)
    for reading in readings:
        with suppress(csv.Error):
            rows = _first_rows(_rows(text, dialect, reading))
            if _are_equal(rows):
                break
    return rows


def _are_equal(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the rows have one number of fields."""
    return len({len(row) for row in rows}) == 1


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
