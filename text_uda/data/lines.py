"""One text a line: .txt files and standard input."""

import json
import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from text_uda.data.plain_text import check_plain_text
from text_uda.data.tables import Record, Table
from text_uda.data.texts import keep
from text_uda.errors import DataError

log = logging.getLogger("text_uda")

STDIN = "-"


def open_lines(path: Path) -> Table:
    """The lines of a file that are not blank, as a table with the column "text".

    Raises:
        DataError: the file cannot be read, is blank, is not a text file, or holds JSON; the message names file and row.
    """

    text = check_plain_text(path)

    def records(_columns: Sequence[str]) -> Iterator[Record]:
        with text.open() as lines:
            yield from _records(lines, str(path))

    return Table(path, ["text"], records, files=(path,))


def read_stdin() -> Table:
    """The lines of standard input that are not blank, as a table; it is read once, and kept as `keep` does.

    Raises:
        DataError: as `open_lines`.
    """
    numbers: list[int] = []

    def texts() -> Iterator[str]:
        for number, record in _records(_decoded(sys.stdin.buffer, "<stdin>"), "<stdin>"):
            numbers.append(number)
            yield record["text"]

    kept = keep(texts())
    return Table(
        Path("standard input"),
        ["text"],
        lambda _columns: ((number, {"text": text}) for number, text in zip(numbers, kept, strict=True)),
    )


def _records(lines: Iterable[str], name: str) -> Iterator[Record]:
    blank: list[int] = []
    number = 0
    for number, line in enumerate(lines, start=1):
        text = line.rstrip("\r\n")
        if not text.strip():
            blank.append(number)
            continue
        if number == 1 and _is_json_object(text):
            raise DataError(f"{name}, row 1: a JSON object, not a text; use a file whose name ends in .jsonl")
        yield number, {"text": text}
    if len(blank) == number:
        raise DataError(f"{name} is empty; give one text a line")
    if blank:
        log.warning("%s: %d blank lines are left out (the first is row %d)", name, len(blank), blank[0])


def _decoded(lines: Iterable[bytes], name: str) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise DataError(
                f"{name}, row {number}: byte 0x{line[error.start]:02x} is not UTF-8; convert the texts first, for"
                " example with `iconv -f latin1 -t utf-8`"
            ) from error
        if "\0" in text:
            raise DataError(f"{name}, row {number}: a NUL character; is this text?")
        yield text


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
