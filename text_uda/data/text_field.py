"""One row that Python holds as a mapping, such as a line of JSON: its text and its other columns."""

from collections.abc import Mapping
from typing import Any

from text_uda.data.column_names import TEXT_NAMES, usual_columns
from text_uda.data.row_columns import OtherColumns
from text_uda.errors import DataError, listed


def text_field_of(row: Mapping[str, Any], others: OtherColumns) -> str | None:
    """The text of a row, in the only field with a usual name that is no other column, with these columns.

    None for a blank text.

    Raises:
        DataError: it has no such field, or lacks a column.
    """
    names = usual_columns([name for name in row if name not in others.names], TEXT_NAMES)
    if len(names) != 1:
        raise DataError(f"which field of the row is the text? It has: {listed(row)}. Name it text")
    text = row[names[0]]
    if text is None or (isinstance(text, str) and not text.strip()):
        return None
    if not isinstance(text, str):
        raise DataError(f"{names[0]!r} of the row is {text!r:.40}, not a text")
    return row_with_columns(row, text, others, "the row")


def row_with_columns(fields: Mapping[str, Any], text: str, others: OtherColumns, where: str) -> str:
    """The text with these columns, of one row. Raises DataError for a column that is missing or invalid."""
    return others.reader(where, list(fields), lambda _number: where, of_run=True)(1, fields, text)
