"""The table of results, as rows of text: its columns, and the text of each cell."""

from collections.abc import Iterable
from dataclasses import dataclass

from text_uda.report.chart import Numbers, number
from text_uda.report.comparison import BASELINES, LABELS_ALONE, REGRESSION, Comparison, Group
from text_uda.report.contrast import Contrast
from text_uda.report.load_runs import MODES, Run
from text_uda.report.seed_statistics import Estimate, estimate, p_text, signed

NOTHING = "\N{EN DASH}"


@dataclass(frozen=True)
class Column:
    key: str
    title: str
    explanation: str


_FAMILY = "Holm-adjusted within this column of each table"

COLUMNS = (
    Column("test_error", "test error %", "of the selected weights"),
    Column("test_balanced_error", "balanced error %", "100 minus the mean recall over the classes"),
    Column("test_macro_f1", "macro-F1 %", "mean F1 over the classes, each with the same weight"),
    Column("against", f"vs {LABELS_ALONE}", f"test error minus that of {LABELS_ALONE}, paired by seed"),
    Column(
        "against_regression",
        f"vs {BASELINES[REGRESSION]}",
        "test error minus that of logistic regression on the frozen features, paired by seed",
    ),
    Column(
        "against_text",
        "vs text",
        "test error minus that of the same method on the text without its columns, paired by seed",
    ),
    Column("columns_shuffled", "other columns %", "test error where each text has the columns of another row"),
    Column("text_shuffled", "other text %", "test error where the columns of each row have the text of another"),
    Column("p", "p", f"of the paired t test over seeds on these test rows, {_FAMILY}"),
    Column(
        "seeds_and_rows",
        "95%, rows too",
        "95% interval of the difference for other seeds and other test rows (pigeonhole bootstrap)",
    ),
    Column(
        "p_rows",
        "p, rows",
        f"of McNemar's exact test on the test rows, {_FAMILY}: with one seed it holds for these two models only",
    ),
    Column("last_test_error", "last step %", "test error of the weights after the last step"),
    Column("dev_error", "dev error %", "of the selected weights on the development rows"),
    Column("dev_rows", "dev rows", "labeled rows of the development split"),
    Column("calibration_error", "calibration %", "mean distance of confidence from accuracy on the test rows, 15 bins"),
    Column("change_rate", "changed %", "mean share of words that a usable paraphrase changes"),
    Column("usable", "usable %", "share of the unlabeled texts with a usable paraphrase"),
    Column("seconds", "seconds", "of training and evaluation, without paraphrasing"),
)

_AGAINST = {"against_regression": Comparison.against_regression, "against_text": Comparison.against_text}
_WHERE_SKEWED = ("test_balanced_error", "test_macro_f1")
_DIFFERENCE = Column("against", "difference", "test error of the first method minus that of the second, paired by seed")
_CONTRAST = ("against", "p", "seeds_and_rows", "p_rows")  # in the order of the columns


def columns(comparison: Comparison) -> list[Column]:
    """The columns with a value; with classes of equal size, balanced error and macro-F1 repeat the test error."""
    hidden: set[str] = set() if comparison.skewed else set(_WHERE_SKEWED)
    dev_rows = {run.dev_rows for group in comparison.groups for run in group.runs}
    if len(dev_rows - {None}) < 2:  # the caption says how many
        hidden.add("dev_rows")
    return [
        column
        for column in COLUMNS
        if column.key not in hidden
        and any(group_cell(comparison, group, column.key) != NOTHING for group in comparison.groups)
    ]


def pair_columns(comparison: Comparison) -> list[Column]:
    """The columns of the table of method pairs, without the two names."""
    candidates = (_DIFFERENCE, *(column for column in COLUMNS if column.key in _CONTRAST[1:]))
    pairs = comparison.between.values()
    return [column for column in candidates if any(_contrast_cell(pair, column.key) != NOTHING for pair in pairs)]


def explained(comparison: Comparison) -> list[Column]:
    """The columns of both tables, each once."""
    return list(dict.fromkeys((*columns(comparison), *pair_columns(comparison))))


def group_cell(comparison: Comparison, group: Group, key: str) -> str:
    """Mean over seeds, with the 95% interval for errors."""
    if key in _CONTRAST:
        contrast = comparison.contrasts.get(group.label)
        return NOTHING if contrast is None else _contrast_cell(contrast, key)
    if key in _AGAINST:
        change = estimate(list(_AGAINST[key](comparison, group).values()))
        return NOTHING if change is None else change.text(sign=True)
    value = group.estimate(key)
    if value is None:
        return NOTHING
    return value.text() if _is_percent(key) else _plain(key, value.mean)


def run_cell(comparison: Comparison, group: Group, run: Run, key: str) -> str:
    """The value of one run."""
    if key == "against" or key in _AGAINST:
        by_seed = comparison.differences(group) if key == "against" else _AGAINST[key](comparison, group)
        difference = by_seed.get(run.seed)
        return NOTHING if difference is None else Estimate(difference, None, 1).text(sign=True)
    value = run.value(key)
    if value is None:
        return NOTHING
    return f"{value:.1f}" if _is_percent(key) else _plain(key, value)


def _contrast_cell(contrast: Contrast, key: str) -> str:
    if key == "against":
        return contrast.change.text(sign=True) if contrast.change else NOTHING
    if key == "seeds_and_rows":
        interval = contrast.seeds_and_rows
        return f"[{signed(interval[0])}, {signed(interval[1])}]" if interval else NOTHING
    p = contrast.p if key == "p" else contrast.p_rows
    return NOTHING if p is None else p_text(p)


def _is_percent(key: str) -> bool:
    return key.endswith(("error", "_f1")) or key in MODES


def _plain(key: str, value: float) -> str:
    if key == "dev_rows":
        return f"{value:,.0f}"
    if key == "seconds":
        return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"
    return f"{100 * value:.0f}"


def caption(comparison: Comparison) -> str:
    selected = f"; weights selected by {comparison.selected_by}" if comparison.selected_by else ""
    return f"{comparison.title}, {comparison.model}{selected}"


def class_scores_table(group: Group) -> Numbers:
    """One line per class: test rows over all seeds, precision, recall and F1 of the selected weights."""
    scores = group.scores.per_class if group.scores else ()
    lines = [
        [name, f"{score.support:,}", *(number(share, 1) for share in (score.precision, score.recall, score.f1))]
        for name, score in zip(group.runs[0].classes, scores, strict=bool(scores))
    ]
    return Numbers(["class", "rows", "precision %", "recall %", "F1 %"], lines)


def rows(comparison: Comparison) -> list[list[str]]:
    """The header, then one line per method, not escaped."""
    shown = columns(comparison)
    lines = [["method", "seeds", *(column.title for column in shown)]]
    for group in comparison.groups:
        cells = [group_cell(comparison, group, column.key) for column in shown]
        lines.append([group.label, str(len(group.seeds)), *cells])
    return lines


def pair_rows(comparison: Comparison) -> list[list[str]]:
    """Each pair of methods: the header, then one line per pair, not escaped; empty without pairs."""
    shown = pair_columns(comparison)
    lines = [
        [first, second, *(_contrast_cell(contrast, column.key) for column in shown)]
        for (first, second), contrast in comparison.between.items()
    ]
    return [["method", "against", *(column.title for column in shown)], *lines] if lines else []


def legend(shown: Iterable[Column]) -> list[str]:
    """The statistics behind tables with these columns."""
    by_key = {column.key: column for column in shown}
    return ["Mean ± 95% interval over seeds (Student's t)."] + [
        f"{by_key[key].title}: {by_key[key].explanation}." for key in _CONTRAST[1:] if key in by_key
    ]
