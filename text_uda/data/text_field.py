"""One row that Python holds as a mapping, such as a line of JSON: its text and its other columns."""

from collections.abc import Mapping
from typing import Any

from text_uda.data.column_names import TEXT_NAMES, usual_columns
from text_uda.data.row_columns import OtherColumns
from text_uda.errors import DataError, listed


def text_field_of(
    row: Mapping[str, Any], others: OtherColumns, text_column: str | None, lengths: Mapping[str, int]
) -> str | None:
    """The text of a row with these columns; None for a blank text.

    Args:
        text_column: None for the only field with a usual name that is no other column.
        lengths: numbers of the vectors of each column.
    Raises:
        DataError: it has no such field, or lacks a column.
    """
    fields = [name for name in row if name not in others.names]
    names = usual_columns(fields, TEXT_NAMES) if text_column is None else [name for name in row if name == text_column]
    if len(names) != 1:
        raise DataError(
            f"which field of the row is the text? It has: {listed(row)}. Name it text, or give text_column="
            if text_column is None
            else f"the row has no field {text_column!r}; it has: {listed(row)}"
        )
    text = row[names[0]]
    if text is None or (isinstance(text, str) and not text.strip()):
        return None
    if not isinstance(text, str):
        raise DataError(f"{names[0]!r} of the row is {text!r:.40}, not a text")
    return row_with_columns(row, text, others, "the row", lengths)


def row_with_columns(
    fields: Mapping[str, Any], text: str, others: OtherColumns, where: str, lengths: Mapping[str, int] | None = None
) -> str:
    """The text with these columns, of one row. Raises DataError for a column that is missing or invalid."""
    read = others.reader(where, list(fields), lambda _number: where, of_run=True, lengths=lengths)
    return read(1, fields, text)
