"""Scores and confusion of the classes as tables for a terminal."""

from collections.abc import Sequence
from shutil import get_terminal_size
from typing import Any

from text_uda.cli.output import printable, table

NAME_WIDTH = 40
FREQUENT = 8  # confusions that are listed where the matrix is too wide


def scores_table(per_class: Sequence[dict[str, Any]]) -> str:
    """Precision, recall and F1 in percent, and the rows of each class."""
    names = _short([scores["class"] for scores in per_class], NAME_WIDTH)
    lines = [
        (name, *(_percent(scores[figure]) for figure in ("precision", "recall", "f1")), f"{scores['support']:,}")
        for name, scores in zip(names, per_class, strict=True)
    ]
    return table([("class", "precision", "recall", "F1", "rows"), *lines])


def confusion_lines(classes: Sequence[str], confusion: Sequence[Sequence[int]]) -> list[str]:
    """The confusion matrix, or its most frequent errors where it is wider than the terminal."""
    width = get_terminal_size().columns
    for name_width in (NAME_WIDTH, 12):
        names = _short(classes, name_width)
        lines = [
            (name, *(f"{count:,}" if count else "." for count in row))
            for name, row in zip(names, confusion, strict=True)
        ]
        matrix = table([("true \\ predicted", *names), *lines])
        if max(map(len, matrix.splitlines())) <= width:
            return [matrix]
    return _frequent_errors(_short(classes, NAME_WIDTH), confusion)


def _frequent_errors(names: Sequence[str], confusion: Sequence[Sequence[int]]) -> list[str]:
    errors = [
        (count, true, predicted)
        for true, row in enumerate(confusion)
        for predicted, count in enumerate(row)
        if count and true != predicted
    ]
    if not errors:
        return []
    errors.sort(key=lambda error: -error[0])
    lines = [(names[true], names[predicted], f"{count:,}") for count, true, predicted in errors[:FREQUENT]]
    left_out = sum(count for count, _, _ in errors[FREQUENT:])
    more = [f"and {left_out:,} rows in {len(errors) - FREQUENT:,} other pairs (--json has the matrix)"] * bool(left_out)
    return [table([("true", "predicted", "rows"), *lines]), *more]


def _short(names: Sequence[str], width: int) -> list[str]:
    from text_uda.report.short_labels import short_labels

    shown = [printable(name) for name in names]
    short = short_labels(shown, width)
    return [short[name] for name in shown]


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1f}"
