"""How the quotes of a csv or tsv file are read: do they delimit fields, or are they characters?"""

import csv
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from text_uda.data.plain_text import PlainText
from text_uda.errors import DataError

log = logging.getLogger("text_uda")

QuoteReading = Literal["quoted", "escaped", "literal"]
"""Quotes delimit fields and are doubled inside, or escaped by a backslash inside; or they are characters."""

_MOST_DISPUTED = 1000  # rows held for their evidence
_MOST_CLASSES = 50
_ROWS_FOR_EVIDENCE = 5

Blocks = Callable[[QuoteReading, list[str] | None], Iterator[list[tuple[list[str], int]]]]


@dataclass
class _Pass:
    """A reading of a whole file."""

    defect: str = ""
    """The first unbalanced quote or row of another length; "" if there is none."""
    disputed: list[tuple[int, int, list[list[str]]]] = field(default_factory=list)
    """(first line, last line, fields of each line) of rows of several lines, each a complete row without quotes."""
    more: int = 0
    """Disputed rows beyond those in the list."""


def choose_quotes(text: PlainText, delimiter: str, blocks: Blocks) -> QuoteReading:
    """The reading of a file; a choice between two valid ones is logged with its rows.

    A row of several lines is in dispute if each line alone is a complete row. Quotes are characters there if the
    columns of few values have their usual values in each line.

    Raises:
        DataError: some quotes delimit fields, and others join complete rows.
    """
    if not text.has_quotes:
        return "literal"
    quoted = _read(blocks, "quoted", delimiter)
    if quoted.defect:
        escaped = _read(blocks, "escaped", delimiter)
        if not escaped.defect:
            log.warning('%s: \\" in a quoted field is read as a quote (%s)', text.path, quoted.defect)
            _warn_of_joined(text, escaped)
            return "escaped"
        if delimiter != "\t":
            return "quoted"
        log.warning(
            "%s: quotes are read as characters, because they do not delimit fields (%s)", text.path, quoted.defect
        )
        return "literal"
    if not quoted.disputed:
        return "quoted"
    values = _class_values(blocks)
    certain = [row for row in quoted.disputed if values and _has_usual_values(row[2], values)]
    if values and not certain:
        return "quoted"
    first, last, lines = certain[0] if certain else quoted.disputed[0]
    one_way = len(certain) in (0, len(quoted.disputed))
    literal = one_way and not _read(blocks, "literal", delimiter).defect and not _has_quoted_fields(blocks)
    if not certain and not (literal and delimiter == "\t" and len(lines[0]) > 1):
        _warn_of_joined(text, quoted)
        return "quoted"
    if not literal:
        raise DataError(
            f"{text.path}, rows {first} to {last}: a quote opens in row {first} and closes in row {last}, and each of "
            'these lines is a complete row; write "" for a quote inside of a quoted text, or remove it'
        )
    log.warning(
        "%s: quotes are read as characters: a quote opens in row %d and closes in row %d%s, and each of these lines is "
        "a complete row. If they are one text, use a .jsonl file",
        text.path,
        first,
        last,
        _and_more((len(certain) or len(quoted.disputed)) + quoted.more),
    )
    return "literal"


def _read(blocks: Blocks, reading: QuoteReading, delimiter: str) -> _Pass:
    """One pass over the file."""
    result = _Pass()
    lines: list[str] = []
    before, width = 0, 0
    try:
        for block in blocks(reading, lines):
            start, end = before, block[-1][1]
            width = width or next((len(row) for row, _ in block if row), 0)
            if end - start > len(block) or {len(row) for row, _ in block} != {width}:
                for row, number in block:
                    if row and len(row) != width:
                        result.defect = f"row {number}: {len(row)} fields where others have {width}"
                        return result
                    if number - before > 1:
                        _dispute(result, lines[before - start : number - start], number, width, delimiter)
                    before = number
            before = end
            del lines[: end - start]
    except csv.Error as error:
        result.defect = str(error)
    return result


def _dispute(result: _Pass, lines: Sequence[str], last: int, width: int, delimiter: str) -> None:
    """Adds a row of several lines if each is a complete row; blank lines before it are not part of it."""
    rows = [line.rstrip("\r\n").split(delimiter) for line in lines if line.strip()]
    if len(rows) < 2 or any(len(row) != width for row in rows):
        return
    if len(result.disputed) == _MOST_DISPUTED:
        result.more += 1
        return
    blank = next(index for index, line in enumerate(lines) if line.strip())
    result.disputed.append((last - len(lines) + 1 + blank, last, rows))


def _class_values(blocks: Blocks) -> dict[int, set[str]]:
    """The values of each column of few values; a joined row has those of its last line."""
    values: dict[int, set[str]] = {}
    rows = -1  # without the header
    for row in (row for block in blocks("quoted", None) for row, _ in block if row):
        rows += 1
        if rows == 0:
            values = {place: set() for place in range(len(row))}
            continue
        for place in list(values):
            values[place].add(row[place])
            if len(values[place]) > _MOST_CLASSES:
                del values[place]
    return {place: found for place, found in values.items() if len(found) * 2 <= rows and rows > _ROWS_FOR_EVIDENCE}


def _has_usual_values(rows: Sequence[Sequence[str]], values: dict[int, set[str]]) -> bool:
    return all(row[place].strip('"') in usual for row in rows for place, usual in values.items())


def _has_quoted_fields(blocks: Blocks) -> bool:
    """Whether a field begins and ends with a quote."""
    return any(
        len(name) > 1 and name[0] == name[-1] == '"'
        for block in blocks("literal", None)
        for row, _ in block
        for name in row
    )


def _warn_of_joined(text: PlainText, reading: _Pass) -> None:
    if reading.disputed:
        first, last, _ = reading.disputed[0]
        log.warning(
            "%s: rows %d to %d are read as one row%s, because a quote opens in the first and closes in the last; if it "
            "is a character there, write it twice",
            text.path,
            first,
            last,
            _and_more(len(reading.disputed) + reading.more),
        )


def _and_more(count: int) -> str:
    return f" (and {count - 1:,} more)" if count > 1 else ""
