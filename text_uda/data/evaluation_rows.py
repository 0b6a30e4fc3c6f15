"""The labeled rows to evaluate a run on, with the class numbers of the run."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from heapq import nsmallest
from pathlib import Path
from typing import Literal

import numpy as np

from text_uda.data.columns import Columns, Names
from text_uda.data.corpus import Rows
from text_uda.data.files import read_labeled
from text_uda.data.held_out_test import hold_out_test
from text_uda.data.labeled_rows import collect, noting_blanks
from text_uda.data.row_columns import NO_COLUMNS, OtherColumns, row_key
from text_uda.data.tables import data_name, open_table
from text_uda.errors import DataError, listed
from text_uda.keyed_random import keyed_seed

Part = Literal["test", "all"]


@dataclass(frozen=True)
class EvaluationRows:
    rows: Rows
    name: str
    """The name of the data set, as `load` gives it."""
    part: str
    """Which rows they are, in words."""
    unlabeled_rows: int = 0
    """Rows that are left out, since they have no label."""


def file_rows(
    path: Path,
    classes: Sequence[str],
    *,
    part: Part,
    text_column: Names = None,
    label_column: Names = None,
    others: OtherColumns = NO_COLUMNS,
) -> EvaluationRows:
    """The labeled rows of a file, or its test fifth, which is that of training on this file.

    One class is enough. Rows without a label are left out.

    Args:
        classes: of the run, in its order.
        others: the columns that the run reads beside the text.
    Raises:
        DataError: no column of labels, a label that is not a class of the run (with its row), or no labeled row.
    """
    names = Columns.named(text_column, label_column)
    table = open_table(path, named=(*names.texts, *names.labels))
    text_name = names.text_of_data(table)
    label_name = names.label_of_data(table, text_name)
    if label_name is None:
        raise DataError(
            f"{path} has no column of labels; it has: {listed(table.columns)}. Name it with --label-column, or"
            " classify rows without labels with `text-uda predict RUN FILE`"
        )
    columns = {"text_column": text_name, "label_column": label_name}
    read = read_labeled(table, **columns, classes=classes, blank_labels="unlabeled", others=others, of_run=True)
    blank: list[int] = []
    labeled = collect(noting_blanks(read, blank), path, classes=classes)
    if not len(labeled):
        raise DataError(f"{path}: no row has a label in {label_name!r}; classify them with `text-uda predict RUN FILE`")
    rows = labeled.rows(classes)
    if part == "all":
        return EvaluationRows(rows, data_name(path), f"all {len(rows):,} labeled rows of {path}", len(blank))
    _, test = hold_out_test(rows)
    if not len(test):
        raise DataError(f"{path}: {len(rows)} labeled rows are too few for a test fifth; give --rows all")
    words = f"the test fifth of {path}: {len(test):,} of {len(rows):,} labeled rows; --rows all for every row"
    return EvaluationRows(test, data_name(path), words, len(blank))


def limited(selected: EvaluationRows, limit: int | None) -> EvaluationRows:
    """At most so many of the rows, those of the smallest hashes as `load` takes them, in their order; None for all."""
    rows = selected.rows
    if limit is None or limit >= len(rows):
        return selected
    keys = [keyed_seed("limit", row_key(text)) for text in rows.texts]
    places = sorted(nsmallest(limit, range(len(rows)), key=keys.__getitem__))
    return replace(selected, rows=rows.take(np.array(places)), part=f"{limit:,} rows (--limit) of {selected.part}")


def both(first: EvaluationRows, second: EvaluationRows) -> EvaluationRows:
    """The rows of two files."""
    rows = Rows.joined(first.rows, second.rows)
    return EvaluationRows(
        rows, first.name, f"{first.part} and {second.part}", first.unlabeled_rows + second.unlabeled_rows
    )
