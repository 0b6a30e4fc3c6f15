"""Texts and labels of files, with a specific error for each defect of a row."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, overload

from text_uda.data.columns import Columns
from text_uda.data.label_spelling import class_finder, label_of
from text_uda.data.row_columns import NO_COLUMNS, OtherColumns
from text_uda.data.tables import Table, open_table
from text_uda.data.texts import has_half_pair
from text_uda.errors import DataError, listed


@overload
def read_labeled(
    source: Path | Table,
    *,
    text_column: str | None,
    label_column: str | None,
    classes: Sequence[str] | None = None,
    blank_labels: Literal["refuse"] = "refuse",
    others: OtherColumns = NO_COLUMNS,
    of_run: bool = False,
) -> Iterator[tuple[int, str, str]]: ...
@overload
def read_labeled(
    source: Path | Table,
    *,
    text_column: str | None,
    label_column: str | None,
    classes: Sequence[str] | None = None,
    blank_labels: Literal["refuse", "unlabeled"],
    others: OtherColumns = NO_COLUMNS,
    of_run: bool = False,
) -> Iterator[tuple[int, str, str | None]]: ...
def read_labeled(
    source: Path | Table,
    *,
    text_column: str | None,
    label_column: str | None,
    classes: Sequence[str] | None = None,
    blank_labels: Literal["refuse", "unlabeled"] = "refuse",
    others: OtherColumns = NO_COLUMNS,
    of_run: bool = False,
) -> Iterator[tuple[int, str, str | None]]:
    """(row number, text, label) for each row of the file, as a stream; a label is a string for any type in the file.

    Args:
        classes: the valid labels, in any spelling of `label_spelling`; the label is the name of the class then. None
            accepts all labels as they are spelled.
        blank_labels: a null, NaN or blank label is an error ("refuse"), or None is its label ("unlabeled").
        others: columns to read beside the text.
        of_run: a trained model reads them, so none can be left out.
    Raises:
        DataError: the file, a column, a text or a label is invalid; the message names file, row and remedy.
    """
    table = source if isinstance(source, Table) else open_table(source, named=(text_column, label_column))
    path = table.path
    columns = Columns.named(text_column, label_column)
    text_name = columns.text_of_data(table)
    label_name = columns.needed_label_of_data(table, text_name)
    class_of = None if classes is None else class_finder(classes)
    number = 0
    with_columns = others.reader(path, table.columns, table.where, but=(text_name, label_name), of_run=of_run)
    for number, record in table.records([text_name, label_name, *others.names]):
        text = with_columns(number, record, _text(table, number, record, text_name))
        label = _label(table, number, record, label_name)
        if label is None:
            if blank_labels == "refuse":
                raise DataError(
                    f"{table.where(number)}: no label in {label_name!r} (it is {record.get(label_name)!r}); add one, "
                    "or move the row to an --unlabeled file"
                )
        elif class_of is not None and classes is not None:
            name = class_of(label)
            if name is None:
                near = next((f", but {name!r} is" for name in classes if name.casefold() == label.casefold()), "")
                raise DataError(
                    f"{table.where(number)}: label {label!r} is not one of the classes ({listed(classes)}){near}; "
                    "correct it, or name the right column with --label-column"
                )
            label = name
        yield number, text, label
    if not number:
        raise DataError(f"{path} has a header and no rows; use a file with texts")


def read_texts(source: Path | Table, *, text_column: str | None, others: OtherColumns = NO_COLUMNS) -> Iterator[str]:
    """The texts of a file as a stream; labels are ignored. Raises DataError like read_labeled."""
    table = source if isinstance(source, Table) else open_table(source, named=(text_column,))
    path = table.path
    name = Columns.named(text_column, None).text_of_data(table)
    number = 0
    with_columns = others.reader(path, table.columns, table.where, but=(name,))
    for number, record in table.records([name, *others.names]):
        yield with_columns(number, record, _text(table, number, record, name))
    if not number:
        raise DataError(f"{path} has a header and no rows; use a file with texts")


def _text(table: Table, number: int, record: dict[str, Any], name: str) -> str:
    text = record.get(name)
    if text is not None and not isinstance(text, str):
        raise DataError(f"{table.where(number)}: {name!r} is {text!r:.40}, not a text; choose another --text-column")
    if text is None or not text.strip():
        raise _blank(table, number, name)
    if has_half_pair(text):
        raise DataError(
            f"{table.where(number)}: the text holds half a surrogate pair, which is not a character; correct it"
        )
    return text


def _blank(table: Table, number: int, name: str) -> DataError:
    """The error of the first row without a text; it counts them all, so that they can be removed at once."""
    total = blank = 0
    for _, record in table.records([name]):
        text = record.get(name)
        total, blank = total + 1, blank + (text is None or (isinstance(text, str) and not text.strip()))
    if blank > total / 2:
        remedy = f"so are {blank:,} of {total:,} rows: is it the right --text-column?"
    else:
        remedy = "remove the row" if blank == 1 else f"so are {blank:,} of {total:,} rows: remove them"
    return DataError(f"{table.where(number)}: the text ({name!r}) is empty or blank; {remedy}")


def _label(table: Table, number: int, record: dict[str, Any], name: str) -> str | None:
    label = record.get(name)
    if isinstance(label, float) and math.isnan(label):  # it can be a fault; of objects, NaN is None already
        raise DataError(
            f"{table.where(number)}: no label in {name!r} (it is NaN); add one, or leave it empty (null) for an"
            " unlabeled text"
        )
    if isinstance(label, list | dict):
        raise DataError(f"{table.where(number)}: no label in {name!r}, but {label!r:.40}; a text has one label")
    return label_of(label)
