"""The table for other programs: CSV with a line a method, a run and a pair of methods, at full precision."""

import csv
import io
from collections.abc import Sequence

from text_uda.report.comparison import Comparison, Group
from text_uda.report.contrast import Contrast
from text_uda.report.load_runs import Run

_MEASURES = (
    *("test_error", "test_balanced_error", "test_macro_f1", "last_test_error", "dev_error", "calibration_error"),
    *("change_rate", "usable", "seconds"),
)
_SETTING = (
    *("level", "data", "labels", "dev_rows", "selected_by", "encoder", "tune", "method", "run", "seed", "seeds"),
    "against",
)
_CONTRAST = (
    *("difference", "difference_half_width", "p_t_holm", "difference_low_with_rows", "difference_high_with_rows"),
    "p_mcnemar_holm",
)
HEAD = (*_SETTING, *(name for measure in _MEASURES for name in (measure, f"{measure}_half_width")), *_CONTRAST)

# At the beginning of a cell a spreadsheet reads a formula (OWASP, "CSV Injection"), in full width, too.
_FORMULA = ("=", "+", "-", "@", "\N{FULLWIDTH EQUALS SIGN}", "\N{FULLWIDTH PLUS SIGN}", "\N{FULLWIDTH HYPHEN-MINUS}",
            "\N{FULLWIDTH COMMERCIAL AT}")  # fmt: skip


def comma_separated(comparisons: Sequence[Comparison]) -> str:
    """`level` says what a line is: "method" holds means over seeds with half their 95% intervals, "run" one run,
    "pair" a method against another. A difference is to the method of `against`.

    Errors, F1 and differences are in percent, `change_rate` and `usable` shares. What is not known is empty.
    """
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, HEAD, restval="")
    writer.writeheader()
    for comparison in comparisons:
        for group in comparison.groups:
            writer.writerow(_method_line(comparison, group))
            writer.writerows(_run_line(comparison, group, run) for run in group.runs)
        by_label = {group.label: group for group in comparison.groups}
        for (one, other), contrast in comparison.between.items():
            writer.writerow(_pair_line(comparison, by_label[one], other, contrast))
    return file.getvalue()


def _setting(comparison: Comparison, group: Group, level: str) -> dict[str, object]:
    config = comparison.config
    return {
        "level": level,
        "data": text(config["data"]["name"]),
        "labels": config["labels"],
        "encoder": text(config["encoder"]),
        "tune": text(config["tune"]),
        "method": text(group.label),
    }


def _method_line(comparison: Comparison, group: Group) -> dict[str, object]:
    line = _setting(comparison, group, "method") | {"seeds": len(group.seeds)}
    for measure in _MEASURES:
        if (found := group.estimate(measure)) is not None:
            line |= {measure: found.mean, f"{measure}_half_width": _or_empty(found.half_width)}
    if (contrast := comparison.contrasts.get(group.label)) is not None:
        assert comparison.baseline is not None
        line |= _difference(contrast, comparison.baseline.label)
    return line


def _pair_line(comparison: Comparison, group: Group, other: str, contrast: Contrast) -> dict[str, object]:
    shared = {"seeds": len(contrast.differences)}
    return _setting(comparison, group, "pair") | shared | _difference(contrast, other)


def _difference(contrast: Contrast, other: str) -> dict[str, object]:
    low, high = contrast.seeds_and_rows or ("", "")
    line: dict[str, object] = {
        "against": text(other),
        "difference_low_with_rows": low,
        "difference_high_with_rows": high,
        "p_t_holm": _or_empty(contrast.p),
        "p_mcnemar_holm": _or_empty(contrast.p_rows),
    }
    if contrast.change is not None:
        line["difference"] = contrast.change.mean
        line["difference_half_width"] = _or_empty(contrast.change.half_width)
    return line


def _run_line(comparison: Comparison, group: Group, run: Run) -> dict[str, object]:
    line = _setting(comparison, group, "run") | {"run": text(run.name), "seed": run.seed}
    line |= {"dev_rows": _or_empty(run.dev_rows), "selected_by": text(run.selected_by)}
    line |= {measure: _or_empty(run.value(measure)) for measure in _MEASURES}
    if len([other for other in group.runs if other.seed == run.seed]) == 1:  # else the difference is of their mean
        line["difference"] = _or_empty(comparison.differences(group).get(run.seed))
    return line


def _or_empty(value: float | None) -> float | str:
    return "" if value is None else value


def text(cell: str) -> str:
    """Text from a run, on one line; one that would be a formula begins with an apostrophe, as spreadsheets write it."""
    line = " ".join(cell.split())
    return f"'{line}" if line.startswith(_FORMULA) else line
