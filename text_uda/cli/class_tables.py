"""Scores and confusion of the classes as tables for a terminal."""

from collections.abc import Sequence
from shutil import get_terminal_size
from typing import Any

from text_uda.cli.output import printable, table

NAME_WIDTH = 40
FREQUENT = 8  # confusions that are listed where the matrix is too wide


def scores_table(per_class: Sequence[dict[str, Any]]) -> str:
    """Precision, recall and F1 in percent, and the rows of each class."""
    names = short_names([scores["class"] for scores in per_class], NAME_WIDTH)
    lines = [
        (name, *(_percent(scores[figure]) for figure in ("precision", "recall", "f1")), f"{scores['support']:,}")
        for name, scores in zip(names, per_class, strict=True)
    ]
    return table([("class", "precision", "recall", "F1", "rows"), *lines])


def confusion_lines(classes: Sequence[str], confusion: Sequence[Sequence[int]]) -> list[str]:
    """The confusion matrix, or its most frequent errors where it is wider than the terminal."""
    width = get_terminal_size().columns
    for name_width in (NAME_WIDTH, 12):
        names = short_names(classes, name_width)
        lines = [
            (name, *(f"{count:,}" if count else "." for count in row))
            for name, row in zip(names, confusion, strict=True)
        ]
        matrix = table([("true \\ predicted", *names), *lines])
        if max(map(len, matrix.splitlines())) <= width:
            return [matrix]
    return _frequent_errors(short_names(classes, NAME_WIDTH), confusion)


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


def short_names(names: Sequence[str], width: int) -> list[str]:
    """The names, printable, the longer ones cut to `width` characters; two that would be cut alike get a number."""
    shown: dict[str, int] = {}
    result = []
    for name in names:
        short = printable(name, width)
        while short in shown:
            shown[short] += 1
            ending = f"…{shown[short]}"
            short = printable(name)[: max(1, width - len(ending))] + ending
        shown[short] = 1
        result.append(short)
    return result


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1f}"
