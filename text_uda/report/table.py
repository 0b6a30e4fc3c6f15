"""The table of results, as rows of text for the page and in Markdown for a terminal."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from text_uda.report.chart import Numbers, number
from text_uda.report.comparison import BASELINES, LABELS_ALONE, REGRESSION, Comparison, Group
from text_uda.report.contrast import Contrast
from text_uda.report.interval import Estimate, estimate, signed
from text_uda.report.load_runs import Run

NOTHING = "\N{EN DASH}"


@dataclass(frozen=True)
class Column:
    key: str
    title: str
    explained: str


_FAMILY = "Holm-adjusted over this column of each table by itself"

COLUMNS = (
    Column("test_error", "test error %", "of the chosen weights"),
    Column("test_balanced_error", "balanced error %", "100 minus the mean recall over the classes"),
    Column("test_macro_f1", "macro-F1 %", "mean F1 over the classes, each of which counts the same"),
    Column("against", f"vs {LABELS_ALONE}", f"difference of the test error to {LABELS_ALONE}, paired by seed"),
    Column(
        "against_regression",
        f"vs {BASELINES[REGRESSION]}",
        "difference of the test error to logistic regression on the frozen features, paired by seed",
    ),
    Column("p", "p", f"of the paired t test over seeds on these test rows, {_FAMILY}"),
    Column(
        "seeds_and_rows",
        "95%, rows too",
        "interval of that difference with seeds and test rows both drawn (pigeonhole bootstrap)",
    ),
    Column(
        "p_rows",
        "p, rows",
        f"of McNemar's exact test on the test rows, {_FAMILY}: one seed, so of these two models alone",
    ),
    Column("last_test_error", "last step %", "test error of the weights after the last step"),
    Column("dev_error", "dev error %", "of the chosen weights on the development rows"),
    Column("dev_rows", "dev rows", "labeled rows of the development split"),
    Column("calibration_error", "calibration %", "mean distance of confidence and accuracy on the test rows, 15 bins"),
    Column("change_rate", "changed %", "mean share of the words that a usable paraphrase changed"),
    Column("usable", "usable %", "share of the unlabeled texts with a usable paraphrase"),
    Column("seconds", "seconds", "of training and evaluation, without the paraphrasing"),
)

_WHERE_SKEWED = ("test_balanced_error", "test_macro_f1")
_DIFFERENCE = Column("against", "difference", "of the test errors, first method minus second, paired by seed")
_CONTRAST = ("against", "p", "seeds_and_rows", "p_rows")  # in the order of the columns


def columns(comparison: Comparison) -> list[Column]:
    """Those that have something to show; where classes are equally frequent the error says what their means do."""
    hidden: set[str] = set() if comparison.skewed else set(_WHERE_SKEWED)
    rows = {run.dev_rows for group in comparison.groups for run in group.runs}
    if len(rows - {None}) < 2:  # the caption says how many
        hidden.add("dev_rows")
    return [
        column
        for column in COLUMNS
        if column.key not in hidden
        and any(group_cell(comparison, group, column.key) != NOTHING for group in comparison.groups)
    ]


def pair_columns(comparison: Comparison) -> list[Column]:
    """The same of the table of methods against each other, without the two names."""
    found = (_DIFFERENCE, *(column for column in COLUMNS if column.key in _CONTRAST[1:]))
    pairs = comparison.between.values()
    return [column for column in found if any(_of_contrast(contrast, column.key) != NOTHING for contrast in pairs)]


def explained(comparison: Comparison) -> list[Column]:
    """Those of both tables, each once."""
    return list(dict.fromkeys((*columns(comparison), *pair_columns(comparison))))


def group_cell(comparison: Comparison, group: Group, key: str) -> str:
    """Mean over seeds, with the 95% interval for errors."""
    if key in _CONTRAST:
        return _contrast_cell(comparison, group, key)
    if key == "against_regression":
        change = estimate(list(comparison.against_regression(group).values()))
        return NOTHING if change is None else change.text(sign=True)
    found = group.estimate(key)
    if found is None:
        return NOTHING
    if _is_percent(key):
        return found.text()
    return _plain(key, found.mean)


def _contrast_cell(comparison: Comparison, group: Group, key: str) -> str:
    contrast = comparison.contrasts.get(group.label)
    return NOTHING if contrast is None else _of_contrast(contrast, key)


def _of_contrast(contrast: Contrast, key: str) -> str:
    if key == "against":
        return contrast.change.text(sign=True) if contrast.change else NOTHING
    if key == "seeds_and_rows":
        both = contrast.seeds_and_rows
        return f"[{signed(both[0])}, {signed(both[1])}]" if both else NOTHING
    p = contrast.p if key == "p" else contrast.p_rows
    return NOTHING if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"


def run_cell(comparison: Comparison, group: Group, run: Run, key: str) -> str:
    """The same of one run."""
    if key in ("against", "against_regression"):
        of_seeds = comparison.differences(group) if key == "against" else comparison.against_regression(group)
        difference = of_seeds.get(run.seed)
        return NOTHING if difference is None else Estimate(difference, None, 1).text(sign=True)
    value = run.value(key)
    if value is None:
        return NOTHING
    return f"{value:.1f}" if _is_percent(key) else _plain(key, value)


def _is_percent(key: str) -> bool:
    return key.endswith(("error", "_f1"))


def _plain(key: str, value: float) -> str:
    if key == "dev_rows":
        return f"{value:,.0f}"
    if key == "seconds":
        return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"
    return f"{100 * value:.0f}"


def caption(comparison: Comparison) -> str:
    chosen = f"; weights chosen by {comparison.chosen_by}" if comparison.chosen_by else ""
    return f"{comparison.title}, {comparison.model}{chosen}"


def by_class(group: Group) -> Numbers:
    """A line a class: its test rows over all seeds, precision, recall and F1 of the chosen weights."""
    scores = group.scores.per_class if group.scores else ()
    lines = [
        [name, f"{one.support:,}", *(number(share, 1) for share in (one.precision, one.recall, one.f1))]
        for name, one in zip(group.runs[0].classes, scores, strict=bool(scores))
    ]
    return Numbers(["class", "rows", "precision %", "recall %", "F1 %"], lines)


def rows(comparison: Comparison) -> list[list[str]]:
    """The head, then a line a method, unescaped."""
    shown = columns(comparison)
    found = [["method", "seeds", *(column.title for column in shown)]]
    for group in comparison.groups:
        cells = [group_cell(comparison, group, column.key) for column in shown]
        found.append([group.label, str(len(group.seeds)), *cells])
    return found


def pair_rows(comparison: Comparison) -> list[list[str]]:
    """Each method against each other one: the head, then a line a pair, unescaped; empty where there are none."""
    shown = pair_columns(comparison)
    found = [
        [one, other, *(_of_contrast(contrast, column.key) for column in shown)]
        for (one, other), contrast in comparison.between.items()
    ]
    return [["method", "against", *(column.title for column in shown)], *found] if found else []


def legend(shown: Iterable[Column]) -> list[str]:
    """What stands behind the numbers of tables with these columns."""
    by_key = {column.key: column for column in shown}
    return ["Mean ± 95% interval over seeds (Student's t)."] + [
        f"{by_key[key].title}: {by_key[key].explained}." for key in _CONTRAST[1:] if key in by_key
    ]


def markdown(comparisons: Sequence[Comparison], left_out: Mapping[Path, str] | None = None) -> str:
    parts = []
    for comparison in comparisons:
        parts.append(escaped(caption(comparison)) + "\n\n" + _markdown(rows(comparison), words=1))
        if pairs := pair_rows(comparison):
            parts.append("Method against method:\n\n" + _markdown(pairs, words=2))
    parts.append("\n".join(legend(column for comparison in comparisons for column in explained(comparison))))
    if left_out:
        parts.append(
            "Left out:\n\n" + "\n".join(f"- {escaped(str(path))}: {escaped(why)}" for path, why in left_out.items())
        )
    return "\n\n".join(parts)


def _markdown(table: list[list[str]], words: int) -> str:
    """The first columns hold words, the others numbers."""
    head, *body = table
    table = [head, *([*map(escaped, row[:words]), *row[words:]] for row in body)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [
        " | ".join(
            cell.ljust(width) if index < words else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in table
    ]
    rule = "|".join("-" * (width + 2) if i < words else "-" * (width + 1) + ":" for i, width in enumerate(widths))
    return "\n".join([f"| {lines[0]} |", f"|{rule}|", *(f"| {line} |" for line in lines[1:])])


# What Markdown reads as more than itself: HTML, links, code, emphasis, the edge of a cell; not a word's underscore.
_MARKUP = re.compile(r"[\\|`*<>&\[\]]|(?<![^\W_])_|_(?![^\W_])")


def escaped(text: str) -> str:
    """Text from a run, on one line, as Markdown that shows it as it is."""
    return _MARKUP.sub(lambda found: f"\\{found[0]}", " ".join(text.split()))
