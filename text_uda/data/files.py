"""Texts and labels of files, with a specific error for each defect of a row."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from text_uda.data.tables import Table, open_table
from text_uda.errors import DataError

TEXT_NAMES = ("text", "sentence", "review", "content", "comment", "document", "body", "tweet", "message", "title")
LABEL_NAMES = ("label", "labels", "class", "category", "stars", "rating", "score", "sentiment", "target", "y")

_HALF_PAIR = re.compile("[\ud800-\udfff]")


def read_labeled(
    path: Path, *, text_column: str | None, label_column: str | None, classes: Sequence[str] | None = None
) -> Iterator[tuple[int, str, str]]:
    """(row number, text, label) for each row of the file, as a stream; a label is a string for any type in the file.

    Args:
        classes: the valid labels; None accepts all.
    Raises:
        DataError: the file, a column, a text or a label is invalid; the message names file, row and remedy.
    """
    table = open_table(path)
    text_name = text_column_of(table, text_column)
    label_name = _column(table, label_column, LABEL_NAMES, "label", "--label-column", exclude=text_name)
    number = 0
    for number, record in table.records([text_name, label_name]):
        text = _text(path, number, record, text_name)
        label = _label(path, number, record, label_name)
        if classes is not None and label not in classes:
            known = ", ".join(classes)
            raise DataError(
                f"{path}, row {number}: label {label!r} is not one of the classes ({known}); correct it, "
                "or name the right column with --label-column"
            )
        yield number, text, label
    if not number:
        raise DataError(f"{path} has a header and no rows; use a file with texts")


def read_texts(path: Path, *, text_column: str | None) -> Iterator[str]:
    """The texts of a file as a stream; labels are ignored. Raises DataError like read_labeled."""
    table = open_table(path)
    name = table.columns[0] if len(table.columns) == 1 and text_column is None else text_column_of(table, text_column)
    number = 0
    for number, record in table.records([name]):
        yield _text(path, number, record, name)
    if not number:
        raise DataError(f"{path} has a header and no rows; use a file with texts")


def text_column_of(table: Table, name: str | None) -> str:
    """The column of the texts: `name`, or the one with a usual name. Raises DataError if there is none."""
    return _column(table, name, TEXT_NAMES, "text", "--text-column")


def _text(path: Path, number: int, record: dict[str, Any], name: str) -> str:
    text = record.get(name)
    if text is not None and not isinstance(text, str):
        raise DataError(f"{path}, row {number}: {name!r} is {text!r:.40}, not a text; choose another --text-column")
    if text is None or not text.strip():
        raise DataError(f"{path}, row {number}: the text ({name!r}) is empty or blank; remove the row")
    if not text.isascii() and _HALF_PAIR.search(text):
        raise DataError(
            f"{path}, row {number}: the text holds half a surrogate pair, which is not a character; correct it"
        )
    return text


def _label(path: Path, number: int, record: dict[str, Any], name: str) -> str:
    label = record.get(name)
    if isinstance(label, float) and label.is_integer():
        label = int(label)
    if label is None or isinstance(label, list | dict) or not str(label).strip():
        raise DataError(f"{path}, row {number}: no label in {name!r}; add one, or move the row to an --unlabeled file")
    return str(label).strip()


def _column(
    table: Table,
    name: str | None,
    usual: Sequence[str],
    content: str,
    option: str,
    *,
    exclude: str | None = None,
) -> str:
    path, columns = table.path, table.columns
    present = ", ".join(columns) or "none"
    if name is not None:
        if name not in columns:
            raise DataError(f"{path} has no column {name!r}; it has: {present}. Name one of them with {option}")
        return name
    by_name = {column.strip().casefold(): column for column in columns if column != exclude}
    match = next((by_name[usual_name] for usual_name in usual if usual_name in by_name), None)
    if match is None:
        raise DataError(f"{path}: which column is the {content}? It has: {present}. Name one of them with {option}")
    return match
