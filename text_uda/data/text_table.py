"""Tables whose texts are classified: all columns kept, blank texts allowed, all rows checked before the first one."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from text_uda.data.columns import Columns
from text_uda.data.label_spelling import label_of
from text_uda.data.row_columns import OtherColumns
from text_uda.data.tables import Record, Table, open_table
from text_uda.errors import DataError

CHUNK_ROWS = 4096
"""Rows of a chunk: they are classified in the order of their length, and memory grows with it."""

_CHUNK_CHARACTERS = 1 << 24  # of texts, so that a chunk of long documents takes no more memory


@dataclass(frozen=True)
class TextTable:
    """A table, and the column of its texts."""

    table: Table
    text_column: str
    rows: int
    """Rows that are read, blank ones included."""
    blank: int
    """Rows whose text is missing or blank."""
    first_blank: int | None
    """The row number of the first of them."""
    skipped: int
    """Rows that `is_read` leaves out."""
    is_read: Callable[[dict[str, Any]], bool]

    @staticmethod
    def of(
        table: Table, text_column: str | None, *, is_read: Callable[[dict[str, Any]], bool] = lambda _fields: True
    ) -> "TextTable":
        """
        Args:
            text_column: None for the only column, or the one with a usual name.
            is_read: which rows are read, by their fields.
        Raises:
            DataError: no column of texts, or a row whose text is no text.
        """
        column = Columns.named(text_column, None).text_of_data(table)
        rows, blank, first_blank, skipped = 0, 0, None, 0
        for number, fields in table.records():
            if not is_read(fields):
                skipped += 1
                continue
            rows += 1
            if _text(table, number, fields, column) is None:
                blank += 1
                first_blank = first_blank or number
        return TextTable(table, column, rows, blank, first_blank, skipped, is_read)

    @staticmethod
    def open(path: Path, text_column: str | None) -> "TextTable":
        """The table of a file. Raises DataError as `of` and `open_table` do."""
        return TextTable.of(open_table(path, named=(text_column,)), text_column)

    def text(self, fields: dict[str, Any]) -> str | None:
        """None for a blank text."""
        text = fields.get(self.text_column)
        return None if label_of(text) is None else text

    def reader(self, others: OtherColumns, lengths: Mapping[str, int]) -> Callable[[int, dict[str, Any]], str | None]:
        """(row number, fields) -> the text with these columns; None for a blank one. Raises DataError without them.

        Args:
            lengths: numbers of the vectors of each column.
        """
        options: dict[str, Any] = {"but": (self.text_column,), "of_run": True, "lengths": lengths}
        read = others.reader(self.table.path, self.table.columns, self.table.where, **options)

        def row(number: int, fields: dict[str, Any]) -> str | None:
            text = self.text(fields)
            return None if text is None else read(number, fields, text)

        return row

    def check_columns(self, others: OtherColumns, lengths: Mapping[str, int]) -> None:
        """Read these columns of all rows, so that a bad one is an error before the first row is classified."""
        read = self.reader(others, lengths)
        for chunk in self.chunks() if others else ():
            for number, fields in chunk:
                read(number, fields)

    def chunks(self) -> Iterator[list[Record]]:
        """(row number, fields) of all rows that are read, in lists of up to 4,096."""
        chunk: list[Record] = []
        characters = 0
        for number, fields in self.table.records():
            if not self.is_read(fields):
                continue
            chunk.append((number, fields))
            characters += len(self.text(fields) or "")
            if len(chunk) == CHUNK_ROWS or characters >= _CHUNK_CHARACTERS:
                yield chunk
                chunk, characters = [], 0
        if chunk:
            yield chunk

    def blocks(self) -> Iterator[list[dict[str, Any]]]:
        """The fields of the rows of `chunks`."""
        return ([fields for _, fields in chunk] for chunk in self.chunks())


def _text(table: Table, number: int, fields: dict[str, Any], column: str) -> str | None:
    text = fields.get(column)
    if label_of(text) is None:
        return None
    if not isinstance(text, str):
        raise DataError(f"{table.where(number)}: {column!r} is {text!r:.40}, not a text; choose another --text-column")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(
            f"{table.where(number)}: the text holds half a surrogate pair, which is not a character; correct it"
        ) from error
    return text
