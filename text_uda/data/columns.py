"""Which column holds the texts and which the labels, in DATA and in the files beside it."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from text_uda.data.column_names import LABEL_NAMES, TEXT_NAMES, usual_columns
from text_uda.data.row_columns import NO_COLUMNS, OtherColumns
from text_uda.data.tables import Table
from text_uda.errors import DataError, listed

log = logging.getLogger("text_uda")

Names = str | Sequence[str] | None


class Kind(NamedTuple):
    content: str
    option: str
    usual: Sequence[str]


TEXT = Kind("text", "--text-column", TEXT_NAMES)
LABEL = Kind("label", "--label-column", LABEL_NAMES)


@dataclass(frozen=True)
class Columns:
    """The names that a user gives to columns: each file is read by the one that it has."""

    texts: tuple[str, ...]
    labels: tuple[str, ...]
    others: OtherColumns = NO_COLUMNS

    @staticmethod
    def named(texts: Names, labels: Names, others: OtherColumns = NO_COLUMNS) -> "Columns":
        return Columns(_tuple(texts), _tuple(labels), others)

    def text_of_data(self, table: Table) -> str:
        """Raises DataError if a name is given and DATA has none, or more than one, or it has no usual name."""
        return _named(table, self.texts, TEXT) or _only(table) or _usual(table, TEXT) or _refuse(table, TEXT)

    def label_of_data(self, table: Table, text: str) -> str | None:
        """None if no name is given and no column has a usual name: DATA is texts alone.

        Raises:
            DataError: a name is given and DATA has none, or more than one, or it is not clear which column is usual.
        """
        label = _named(table, self.labels, LABEL) or _usual(table, LABEL, but=text)
        if label == text:
            raise DataError(
                f"{table.path}: {text!r} cannot be both the text and the label; choose another --label-column"
            )
        return label

    def needed_label_of_data(self, table: Table, text: str) -> str:
        """Raises DataError as `label_of_data`, and if there is none."""
        return self.label_of_data(table, text) or _refuse(table, LABEL)

    def text_of_other(self, table: Table) -> str:
        """The text column of a file beside DATA, which can have another name than that of DATA.

        Raises:
            DataError: it has none of the names and no usual one; the remedy leaves DATA as it is.
        """
        return _of_other(table, self.texts, TEXT)

    def label_of_other(self, table: Table, text: str) -> str:
        return _of_other(table, self.labels, LABEL, but=text)

    def only_name(self, kind: Kind) -> str | None:
        """The name for a data set of the hub."""
        names = self.texts if kind is TEXT else self.labels
        return names[0] if names else None


def _tuple(names: Names) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names or ())


def _named(table: Table, names: Sequence[str], kind: Kind) -> str | None:
    """The one of the names that the table has; None if no name is given."""
    present = [name for name in dict.fromkeys(names) if name in table.columns]
    if len(present) > 1:
        raise DataError(
            f"{table.path} has the columns {' and '.join(map(repr, present))}, and {kind.option} names one for each "
            f"file; leave one of them out, or join the columns in the file"
            f"{' (several are tasks, of one DATA in `train` and `ablate tasks`)' if kind is LABEL else ''}"
        )
    if names and not present:
        raise DataError(
            f"{table.path} has no column {' or '.join(map(repr, names))}; it has: {listed(table.columns)}."
            f" Name one of them with {kind.option}"
        )
    return present[0] if present else None


def _usual(table: Table, kind: Kind, but: str | None = None) -> str | None:
    columns = usual_columns([column for column in table.columns if column != but], kind.usual)
    if len(columns) > 1:
        return _refuse(table, kind)
    return columns[0] if columns else None


def _only(table: Table) -> str | None:
    return table.columns[0] if len(table.columns) == 1 else None


def _of_other(table: Table, names: Sequence[str], kind: Kind, but: str | None = None) -> str:
    if any(name in table.columns for name in names) and (name := _named(table, names, kind)):
        return name
    usual = (_only(table) if kind is TEXT else None) or _usual(table, kind, but)
    if usual is None:
        return _refuse(table, kind, names)
    if names:
        log.warning(
            "%s has no column %s: its %ss are read from %r",
            table.path,
            " or ".join(map(repr, names)),
            kind.content,
            usual,
        )
    return usual


def _refuse(table: Table, kind: Kind, names: Sequence[str] = ()) -> str:
    columns = listed(table.columns)
    if not names:
        header = (
            "" if len(table.columns) == 1 or "text" in table.columns else " (or write a header, if these are no names)"
        )
        raise DataError(
            f"{table.path}: which column is the {kind.content}? It has: {columns}. Name one of them with {kind.option}"
            f"{header}"
        )
    wanted = " or ".join(map(repr, names))
    raise DataError(
        f"{table.path}: which column is the {kind.content}? It has: {columns}, and not {wanted}."
        f" Add a second {kind.option} with its name: each file is read by the one that it has"
    )
