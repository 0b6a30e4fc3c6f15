"""Texts from standard input: one a line, or JSON lines with their other fields."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import click

from text_uda.cli.output import printable
from text_uda.data.column_names import TEXT_NAMES, usual_columns
from text_uda.data.label_spelling import label_of
from text_uda.data.lines import STDIN_NAME as NAME
from text_uda.data.lines import decoded_lines, json_object
from text_uda.data.texts import has_half_pair
from text_uda.errors import DataError, listed


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
        self._first_line = 1  # that is not blank
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
        for number, content in enumerate(decoded_lines(self._stream, NAME), start=1):
            if is_first and content.strip():
                is_first = False
                self._choose_format(content, number)
            line = self._parsed(content, number)
            if line is None:  # a blank line between JSON objects is no row
                continue
            if line.text is None:
                self.blank += 1
                self.first_blank = self.first_blank or number
            yield line
        if number == 0:
            raise DataError(f"{NAME} is empty; give one text per line, for example `text-uda predict RUN < texts.txt`")

    def _choose_format(self, content: str, number: int) -> None:
        self._first_line = number
        fields = json_object(content)
        if fields is None:
            if self._text_column is not None:
                raise DataError(f"{NAME}: --text-column needs JSON lines, and line {number} is not a JSON object")
            _warn_of_other_formats(content, number)
            return
        self._first_fields = fields
        self._column = _text_field(fields, self._text_column, number)
        while any(self.prefix + name in fields for name in self._answer_names):
            self.prefix += "predicted_"
        _say(f"line {number} is a JSON object: every line is read as one, and its text is {self._column!r}")

    def _parsed(self, content: str, number: int) -> InputLine | None:
        if self._column is None:
            return InputLine(content if content.strip() else None, {})
        if not content.strip():
            return None
        fields = json_object(content)
        if fields is None:
            raise DataError(f"{NAME}, line {number}: not a JSON object, as the lines before it are")
        for name in self._answer_names:
            if (self.prefix + name) in fields:
                raise DataError(
                    f"{NAME}, line {number}: the field {self.prefix + name!r}, which line {self._first_line}"
                    " lacks, has a name of the answer; give the file itself, `text-uda predict RUN FILE`"
                )
        text = fields.get(self._column)
        if label_of(text) is None:
            return InputLine(None, fields)
        if not isinstance(text, str):
            raise DataError(
                f"{NAME}, line {number}: {self._column!r} is {text!r:.40}, not a text; choose another --text-column"
            )
        if has_half_pair(text):
            raise DataError(f"{NAME}, line {number}: the text holds half a surrogate pair; correct it")
        return InputLine(text, fields)


def _text_field(fields: dict[str, Any], name: str | None, number: int) -> str:
    present = listed(fields)
    if name is not None:
        if name not in fields:
            raise DataError(f"{NAME}, line {number}: a JSON object without the field {name!r}; it has: {present}")
        return name
    matches = usual_columns(list(fields), TEXT_NAMES)
    if len(matches) != 1:
        raise DataError(
            f"{NAME}, line {number}: a JSON object; which field is the text? {present}: name it by --text-column"
        )
    return matches[0]


def _warn_of_other_formats(content: str, number: int) -> None:
    if content.lstrip()[0] in "[{":
        _say(f"line {number} begins with {content.lstrip()[0]!r} but is no JSON object: every line is read as a text")
    names = [name.strip().strip('"').casefold() for name in re.split(r"[,;\t]", content)]
    if (
        len(names) > 1
        and set(names) & set(TEXT_NAMES)
        and all(re.fullmatch(r"\w[\w .-]{0,30}", name) for name in names)
    ):
        _say(
            f"line {number} looks like the header of a table, and every line is read as a text, also line {number};"
            " give a table as a file, `text-uda predict RUN FILE`"
        )


def _say(words: str) -> None:
    click.echo(f"{NAME}: {printable(words)}", err=True)
