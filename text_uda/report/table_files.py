"""The table of results as Markdown, LaTeX and CSV.

pandas would save about 20 of these lines and would need tabulate for Markdown. Its LaTeX escaping leaves `[` and `*`
after a line end, `<`, `>`, `|` and the minus sign as they are, so the escaping below would stay.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from text_uda.report.comparison import Comparison, Group
from text_uda.report.contrast import Contrast
from text_uda.report.load_runs import MODES, Run
from text_uda.report.seed_statistics import estimate
from text_uda.report.table import NOTHING, caption, columns, explained, legend, pair_columns, pair_rows, rows
from text_uda.report.task_means import TaskMeans, mean_rows, task_means

# --- Markdown ---------------------------------------------------------------------------------------------------------

# Characters with a meaning in Markdown: HTML, links, code, emphasis, the edge of a cell. `_` has none inside a word.
_MARKUP = re.compile(r"[\\|`*<>&\[\]]|(?<![^\W_])_|_(?![^\W_])")


def to_markdown(comparisons: Sequence[Comparison], left_out: Mapping[Path, str] | None = None) -> str:
    parts = []
    for means in task_means(comparisons):
        parts.append(markdown_text(means.title) + "\n\n" + _markdown(mean_rows(means), text_columns=1))
        parts.append(markdown_text(means.notes))
    for comparison in comparisons:
        parts.append(markdown_text(caption(comparison)) + "\n\n" + _markdown(rows(comparison), text_columns=1))
        if pairs := pair_rows(comparison):
            parts.append("Method against method:\n\n" + _markdown(pairs, text_columns=2))
    parts.append("\n".join(legend(column for comparison in comparisons for column in explained(comparison))))
    if left_out:
        lines = [f"- {markdown_text(str(path))}: {markdown_text(why)}" for path, why in left_out.items()]
        parts.append("Left out:\n\n" + "\n".join(lines))
    return "\n\n".join(parts)


def _markdown(table: list[list[str]], text_columns: int) -> str:
    """The first columns hold text, the others numbers."""
    head, *body = table
    table = [head, *([*map(markdown_text, row[:text_columns]), *row[text_columns:]] for row in body)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [
        " | ".join(
            cell.ljust(width) if index < text_columns else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in table
    ]
    rule = "|".join("-" * (w + 2) if i < text_columns else "-" * (w + 1) + ":" for i, w in enumerate(widths))
    return "\n".join([f"| {lines[0]} |", f"|{rule}|", *(f"| {line} |" for line in lines[1:])])


def markdown_text(text: str) -> str:
    """Text from a run on one line, escaped so that Markdown shows it unchanged."""
    return _MARKUP.sub(lambda match: f"\\{match[0]}", " ".join(text.split()))


# --- LaTeX ------------------------------------------------------------------------------------------------------------

_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "[": "{[}",  # at the start of a row, LaTeX reads it as an argument of the line end before it,
    "*": "{*}",  # and this too
    "\N{PLUS-MINUS SIGN}": r"$\pm$",
    "\N{MINUS SIGN}": "$-$",
    "\N{EN DASH}": "--",
    "\N{HORIZONTAL ELLIPSIS}": r"\dots{}",
}


def to_latex(comparisons: Sequence[Comparison]) -> str:
    r"""Tables to \input; they need \usepackage{booktabs} and \usepackage[T1]{fontenc}.

    Names in scripts other than Latin need LuaLaTeX or XeLaTeX and a font that has them.
    """
    tables = [
        _latex(mean_rows(means), f"{means.title}. {means.notes}", text_columns=1) for means in task_means(comparisons)
    ]
    tables += [table for comparison in comparisons for table in _latex_tables(comparison)]
    return "\n".join([r"% needs \usepackage{booktabs} and \usepackage[T1]{fontenc}", *tables])


def _latex_tables(comparison: Comparison) -> Iterator[str]:
    title = [f"{caption(comparison)}.", *legend(columns(comparison))]
    yield _latex(rows(comparison), " ".join(title), text_columns=1)
    if pairs := pair_rows(comparison):
        title = [f"{caption(comparison)}: method against method.", *legend(pair_columns(comparison))]
        yield _latex(pairs, " ".join(title), text_columns=2)


def _latex(table: list[list[str]], title: str, text_columns: int) -> str:
    """The first columns hold text, the others numbers."""
    head, *body = table
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{latex_text(title)}}}",
        rf"\begin{{tabular}}{{{'l' * text_columns}{'r' * (len(head) - text_columns)}}}",
    ]
    lines += [r"\toprule", _latex_row(list(map(latex_text, head))), r"\midrule"]
    for row in body:
        lines.append(_latex_row([*map(latex_text, row[:text_columns]), *map(_latex_number, row[text_columns:])]))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def _latex_row(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"


def _latex_number(cell: str) -> str:
    if cell == NOTHING:
        return "--"
    math = cell.replace("\N{MINUS SIGN}", "-").replace("\N{PLUS-MINUS SIGN}", r"\pm")
    return "$" + re.sub(r"(?<=\d),(?=\d)", "{,}", math) + "$"


def latex_text(text: str) -> str:
    """Text from a run on one line, escaped so that LaTeX prints it unchanged."""
    return "".join(_LATEX.get(character, character) for character in " ".join(text.split()))


# --- CSV --------------------------------------------------------------------------------------------------------------

_MEASURES = (
    *("test_error", "test_balanced_error", "test_macro_f1", "last_test_error", "dev_error", "calibration_error"),
    *("change_rate", "usable", "seconds", *MODES),
)
_SETTING = (
    *("level", "data", "labels", "dev_rows", "selected_by", "encoder", "tune", "method", "run", "seed", "seeds"),
    "against",
)
_CONTRAST = (
    *("difference", "difference_half_width", "p_t_holm", "difference_low_with_rows", "difference_high_with_rows"),
    "p_mcnemar_holm",
)
HEADER = (*_SETTING, *(name for measure in _MEASURES for name in (measure, f"{measure}_half_width")), *_CONTRAST)

# A spreadsheet reads a cell that starts with one of these as a formula (OWASP, "CSV Injection").
_FORMULA = ("=", "+", "-", "@", "\N{FULLWIDTH EQUALS SIGN}", "\N{FULLWIDTH PLUS SIGN}", "\N{FULLWIDTH HYPHEN-MINUS}",
            "\N{FULLWIDTH COMMERCIAL AT}")  # fmt: skip


def to_csv(comparisons: Sequence[Comparison]) -> str:
    """Lines at full precision. `level` is "method" for means over seeds with half their 95% intervals, "run" for one
    run, "pair" for a method against another, "mean" for the mean error of several tasks. A difference is to the method
    named in `against`.

    Errors, F1 and differences are in percent, `change_rate` and `usable` are shares. Unknown values are empty.
    """
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, HEADER, restval="")
    writer.writeheader()
    for comparison in comparisons:
        for group in comparison.groups:
            writer.writerow(_method_line(comparison, group))
            writer.writerows(_run_line(comparison, group, run) for run in group.runs)
        by_label = {group.label: group for group in comparison.groups}
        for (first, second), contrast in comparison.between.items():
            line = _setting(comparison, by_label[first], "pair") | {"seeds": len(contrast.differences)}
            writer.writerow(line | _difference(contrast, second))
    for means in task_means(comparisons):
        writer.writerows(_mean_line(means, label) for label in means.groups)
    return file.getvalue()


def _setting(comparison: Comparison, group: Group, level: str) -> dict[str, object]:
    config = comparison.config
    return {
        "level": level,
        "data": csv_text(config["data"]["name"]),
        "labels": config["labels"],
        "encoder": csv_text(config["encoder"]),
        "tune": csv_text(config["tune"]),
        "method": csv_text(group.label),
    }


def _method_line(comparison: Comparison, group: Group) -> dict[str, object]:
    line = _setting(comparison, group, "method") | {"seeds": len(group.seeds)}
    for measure in _MEASURES:
        if (estimate := group.estimate(measure)) is not None:
            line |= {measure: estimate.mean, f"{measure}_half_width": estimate.half_width}
    if (contrast := comparison.contrasts.get(group.label)) is not None:
        assert comparison.baseline is not None
        line |= _difference(contrast, comparison.baseline.label)
    return line


def _mean_line(means: TaskMeans, label: str) -> dict[str, object]:
    task, group = next(iter(means.groups[label].items()))
    line = _setting(means.comparisons[task], group, "mean") | {"seeds": len(means.errors[label])}
    line["data"] = csv_text(", ".join(comparison.config["data"]["name"] for comparison in means.comparisons.values()))
    if (error := estimate(list(means.errors[label].values()))) is not None:
        line |= {"test_error": error.mean, "test_error_half_width": error.half_width}
    change = means.changes.get(label)
    return line if change is None else line | _difference(change, means.references[label])


def _difference(contrast: Contrast, other: str) -> dict[str, object]:
    low, high = contrast.seeds_and_rows or (None, None)
    return {
        "against": csv_text(other),
        "difference": contrast.change and contrast.change.mean,
        "difference_half_width": contrast.change and contrast.change.half_width,
        "p_t_holm": contrast.p,
        "difference_low_with_rows": low,
        "difference_high_with_rows": high,
        "p_mcnemar_holm": contrast.p_rows,
    }


def _run_line(comparison: Comparison, group: Group, run: Run) -> dict[str, object]:
    line = _setting(comparison, group, "run") | {"run": csv_text(run.name), "seed": run.seed}
    line |= {"dev_rows": run.dev_rows, "selected_by": csv_text(run.selected_by)}
    line |= {measure: run.value(measure) for measure in _MEASURES}
    if len([other for other in group.runs if other.seed == run.seed]) == 1:  # else the difference is of their mean
        line["difference"] = comparison.differences(group).get(run.seed)
    return line


def csv_text(cell: str) -> str:
    """Text from a run on one line, with an apostrophe before a formula, as spreadsheets write it."""
    line = " ".join(cell.split())
    return f"'{line}" if line.startswith(_FORMULA) else line
