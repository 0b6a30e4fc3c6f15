"""One text a line: .txt files and standard input."""

import json
import logging
import re
import sys
from array import array
from collections.abc import Iterable, Iterator
from typing import Any

from text_uda.data.plain_text import PlainText
from text_uda.data.records import Read, Record
from text_uda.data.texts import keep
from text_uda.errors import DataError

log = logging.getLogger("text_uda")

STDIN = "-"
STDIN_NAME = "<stdin>"

_LINE_END = re.compile(rb"\r\n|\r|\n")
_FILES = {  # first bytes -> what begins so
    b"PAR1": "a Parquet file",
    b"\x1f\x8b": "a gzip file",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ\0": "an xz file",
    b"\x28\xb5\x2f\xfd": "a zst file",
    b"PK\x03\x04": "a zip file, such as a spreadsheet",
}
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def read_lines(text: PlainText) -> tuple[list[str], Read]:
    """(columns, function that reads the records): the lines that are not blank, in the column "text".

    Raises:
        DataError: while it is read, if it holds JSON; the message names the row.
    """

    def records(_columns: Any) -> Iterator[Record]:
        text.refuse_long_line()
        with text.open() as lines:
            yield from _records(lines, str(text.path))

    return ["text"], records


def read_stdin() -> tuple[list[str], Read]:
    """As `read_lines`, of standard input, which is read once, and kept as `keep` does.

    Raises:
        DataError: it is blank, no UTF-8, no text, or JSON; the message names the row.
    """
    numbers = array("q")

    def texts() -> Iterator[str]:
        for number, record in _records(decoded_lines(sys.stdin.buffer, STDIN_NAME), STDIN_NAME):
            numbers.append(number)
            yield record["text"]

    kept = keep(texts())
    return ["text"], lambda _columns: ((n, {"text": text}) for n, text in zip(numbers, kept, strict=True))


def decoded_lines(stream: Iterable[bytes], name: str) -> Iterator[str]:
    """The lines of a stream of bytes without their ends, as soon as each is read; a lone CR ends a line, as in files.

    Raises:
        DataError: it is a file of another format, a line is not UTF-8, or holds a NUL.
    """
    number = 0
    for block in stream:
        if number == 0:
            _refuse_other_files(block, name)
        for line in _LINE_END.split(re.sub(rb"(\r\n|\r|\n)\Z", b"", block)):
            number += 1
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{name}, line {number}: byte {error.start + 1} (0x{error.object[error.start]:02x}) is not UTF-8;"
                    " convert the texts first, for example with `iconv -f latin1 -t utf-8`"
                ) from error
            if "\0" in text:
                raise DataError(f"{name}, line {number}: a NUL character; is this text?")
            yield text


def json_object(line: str) -> dict[str, Any] | None:
    """The object of a line of JSON, None for another line."""
    if not line.lstrip().startswith("{"):
        return None
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _records(lines: Iterable[str], name: str) -> Iterator[Record]:
    blank: list[int] = []
    number, is_first = 0, True
    for number, line in enumerate(lines, start=1):
        text = line.rstrip("\r\n")
        if not text.strip():
            blank.append(number)
            continue
        if is_first and json_object(text) is not None:
            raise DataError(f"{name}, row {number}: a JSON object, not a text; use a file whose name ends in .jsonl")
        is_first = False
        yield number, {"text": text}
    if len(blank) == number:
        raise DataError(f"{name} is empty; give one text a line")
    if blank:
        log.warning("%s: %d blank lines are left out (the first is row %d)", name, len(blank), blank[0])


def _refuse_other_files(start: bytes, name: str) -> None:
    if start.startswith(_UTF_16):
        raise DataError(f"{name} is UTF-16; convert it first, with `iconv -f utf-16 -t utf-8`")
    kind = next((kind for signature, kind in _FILES.items() if start.startswith(signature)), None)
    if kind is not None:
        raise DataError(f"{name} is {kind}, not lines of text; name the file itself in the command")
