"""The table of results, as rows of text for the page and in Markdown for a terminal."""

from dataclasses import dataclass

from text_uda.report.comparison import Comparison, Group
from text_uda.report.interval import Estimate
from text_uda.report.reading import Run

NOTHING = "\N{EN DASH}"


@dataclass(frozen=True)
class Column:
    key: str
    title: str
    explained: str


COLUMNS = (
    Column("test_error", "test error %", "of the weights that the development split chose"),
    Column("against", "vs none", "difference of the test error to no augmentation, paired by seed"),
    Column("last_test_error", "last step %", "test error of the weights after the last step"),
    Column("dev_error", "dev error %", "lowest error on the development split, which chose the weights"),
    Column("change_rate", "changed %", "mean share of the words that a usable paraphrase changed"),
    Column("usable", "usable %", "share of the unlabeled texts with a usable paraphrase"),
    Column("seconds", "seconds", "of training and evaluation, without the paraphrasing"),
)


def columns(comparison: Comparison) -> list[Column]:
    """Those that have something to show."""
    return [
        column
        for column in COLUMNS
        if any(group_cell(comparison, group, column.key) != NOTHING for group in comparison.groups)
    ]


def group_cell(comparison: Comparison, group: Group, key: str) -> str:
    """Mean over seeds, with the 95% interval for errors."""
    if key == "against":
        difference = comparison.against_baseline(group)
        return NOTHING if difference is None else difference.text(sign=True)
    found = group.estimate(key)
    if found is None:
        return NOTHING
    if key.endswith("error"):
        return found.text()
    return _plain(key, found.mean)


def run_cell(comparison: Comparison, group: Group, run: Run, key: str) -> str:
    """The same of one run."""
    if key == "against":
        difference = comparison.differences(group).get(run.seed)
        return NOTHING if difference is None else Estimate(difference, None, 1).text(sign=True)
    value = run.value(key)
    if value is None:
        return NOTHING
    return f"{value:.1f}" if key.endswith("error") else _plain(key, value)


def _plain(key: str, value: float) -> str:
    if key == "seconds":
        return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"
    return f"{100 * value:.0f}"


def markdown(comparisons: list[Comparison]) -> str:
    parts = []
    for comparison in comparisons:
        shown = columns(comparison)
        rows = [["method", "seeds", *(column.title for column in shown)]]
        for group in comparison.groups:
            cells = [group_cell(comparison, group, column.key) for column in shown]
            rows.append([_one_cell(group.label), str(len(group.seeds)), *cells])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [" | ".join(_aligned(row, widths)) for row in rows]
        rule = "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])])
        title = _one_cell(f"{comparison.title}, {comparison.model}")
        parts.append("\n".join([title, "", f"| {lines[0]} |", f"|{rule}|", *(f"| {line} |" for line in lines[1:])]))
    return "\n\n".join(parts) + "\n\nMean ± 95% interval over seeds (Student's t)."


def _aligned(row: list[str], widths: list[int]) -> list[str]:
    return [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]


def _one_cell(text: str) -> str:
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|")
