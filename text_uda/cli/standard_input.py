"""Texts from standard input: one a line, or JSON lines with their other fields."""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import click

from text_uda.cli.output import printable
from text_uda.data.column_names import TEXT_NAMES
from text_uda.data.label_spelling import label_of
from text_uda.errors import DataError

NAME = "<stdin>"

_FILES = {  # first bytes -> what begins so
    b"PAR1": "a Parquet file",
    b"\x1f\x8b": "a gzip file",
    b"PK\x03\x04": "a zip file, such as a spreadsheet",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}


class InputLine(NamedTuple):
    text: str | None
    """None for a blank text."""
    fields: dict[str, Any]
    """The fields of a JSON object; empty for plain text."""


class StandardInput:
    """The lines of standard input up to the first bad one; `error` is raised after the lines before it are answered.

    The input is JSON lines if its first line that is not blank is a JSON object; otherwise every line is a text. Which
    of the two it is, is said where it could be doubted.

    Args:
        answer_names: fields that a JSON object must not gain after the first line, since the answer has them.
    """

    def __init__(self, stream: Any, *, text_column: str | None, answer_names: tuple[str, ...]) -> None:
        self._stream, self._text_column, self._answer_names = stream, text_column, answer_names
        self._column: str | None = None  # of the texts; None for plain text
        self._first_fields: dict[str, Any] = {}
        self.error: DataError | None = None
        self.prefix = ""
        """What the names of the answer begin with, so that no field is lost."""
        self.blank = 0
        self.first_blank: int | None = None

    def __iter__(self) -> Iterator[InputLine]:
        try:
            yield from self._lines()
        except DataError as error:
            self.error = error

    def _lines(self) -> Iterator[InputLine]:
        number, is_first = 0, True
        for number, raw in enumerate(self._stream, start=1):
            content = _decoded(raw.rstrip(b"\r\n"), number)
            if is_first and content.strip():
                is_first = False
                self._choose_format(content)
            line = self._parsed(content, number)
            if line is None:  # a blank line between JSON objects is no row
                continue
            if line.text is None:
                self.blank += 1
                self.first_blank = self.first_blank or number
            yield line
        if number == 0:
            raise DataError(f"{NAME} is empty; give one text per line, for example `text-uda predict RUN < texts.txt`")

    def _choose_format(self, content: str) -> None:
        fields = _json_object(content)
        if fields is None:
            if self._text_column is not None:
                raise DataError(f"{NAME}: --text-column needs JSON lines, and line 1 is not a JSON object")
            _warn_of_other_formats(content)
            return
        self._first_fields = fields
        self._column = _text_field(fields, self._text_column)
        while any(self.prefix + name in fields for name in self._answer_names):
            self.prefix += "predicted_"
        _say(f"line 1 is a JSON object: every line is read as one, and its text is {self._column!r}")

    def _parsed(self, content: str, number: int) -> InputLine | None:
        if self._column is None:
            return InputLine(content if content.strip() else None, {})
        if not content.strip():
            return None
        fields = _json_object(content)
        if fields is None:
            raise DataError(f"{NAME}, line {number}: not a JSON object, as the lines before it are")
        for name in self._answer_names:
            if (self.prefix + name) in fields:
                raise DataError(
                    f"{NAME}, line {number}: the field {self.prefix + name!r}, which line 1 lacks, has a name of the"
                    " answer; give the file itself, `text-uda predict RUN FILE`"
                )
        text = fields.get(self._column)
        if label_of(text) is None:
            return InputLine(None, fields)
        if not isinstance(text, str):
            raise DataError(
                f"{NAME}, line {number}: {self._column!r} is {text!r:.40}, not a text; choose another --text-column"
            )
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise DataError(f"{NAME}, line {number}: the text holds half a surrogate pair; correct it") from error
        return InputLine(text, fields)


def _decoded(line: bytes, number: int) -> str:
    kind = next((kind for start, kind in _FILES.items() if line.startswith(start)), None) if number == 1 else None
    if kind == "UTF-16":
        raise DataError(f"{NAME} is UTF-16; convert it first, with `iconv -f utf-16 -t utf-8`")
    if kind is not None:
        raise DataError(f"{NAME} is {kind}, not lines of text; give the file itself, `text-uda predict RUN FILE`")
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise DataError(
            f"{NAME}, line {number}: byte {error.start + 1} (0x{byte:02x}) is not UTF-8;"
            " convert the texts first, for example with `iconv -f latin1 -t utf-8`"
        ) from error


def _json_object(content: str) -> dict[str, Any] | None:
    if not content.lstrip().startswith("{"):
        return None
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _text_field(fields: dict[str, Any], name: str | None) -> str:
    present = ", ".join(fields) or "none"
    if name is not None:
        if name not in fields:
            raise DataError(f"{NAME}, line 1: a JSON object without the field {name!r}; it has: {present}")
        return name
    by_name = {field.strip().casefold(): field for field in fields}
    match = next((by_name[usual] for usual in TEXT_NAMES if usual in by_name), None)
    if match is None:
        raise DataError(f"{NAME}, line 1: a JSON object; which field is the text? {present}: name it by --text-column")
    return match


def _warn_of_other_formats(content: str) -> None:
    if content.lstrip()[0] in "[{":
        _say(f"line 1 begins with {content.lstrip()[0]!r} but is no JSON object: every line is read as a text")
    names = [name.strip().strip('"').casefold() for name in re.split(r"[,;\t]", content)]
    if (
        len(names) > 1
        and set(names) & set(TEXT_NAMES)
        and all(re.fullmatch(r"\w[\w .-]{0,30}", name) for name in names)
    ):
        _say(
            "line 1 looks like the header of a table, and every line is read as a text, also line 1; give a table as a"
            " file, `text-uda predict RUN FILE`"
        )


def _say(words: str) -> None:
    click.echo(f"{NAME}: {printable(words)}", err=True)
