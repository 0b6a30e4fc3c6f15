"""The page: what the templates are given. Everything from a run passes through their escaping."""

import hashlib
import itertools
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from text_uda.errors import MissingPartError
from text_uda.report import figures, table
from text_uda.report.chart import Chart
from text_uda.report.comparison import LABELS_ALONE, Comparison, Group, flat
from text_uda.report.disagreement import GAINED, LOST, NOBODY, disagreements
from text_uda.report.latex import latex
from text_uda.report.load_runs import Run
from text_uda.report.palette import style
from text_uda.report.paraphrase_examples import sources
from text_uda.report.spreadsheet import comma_separated

_HERE = Path(__file__).parent
# (name, what writes it of the comparisons): a table for a paper each
_PAPER = (("Markdown", table.markdown), ("LaTeX", latex), ("CSV", comma_separated))
_OWN = ("name", "seed", "settings.seed", "data.digest", "cache_digest")  # differ between any two runs


@dataclass(frozen=True)
class Origin:
    """What made the runs: settings that all share, and those by which they differ."""

    shared: dict[str, str]
    differing: list[str]
    rows: list[tuple[Run, dict[str, str]]]


def render(comparisons: list[Comparison], left_out: Mapping[Path, str] | None = None) -> str:
    """The whole page, which asks the network for nothing.

    Args:
        left_out: runs that cannot be shown, and why: the first remarks.

    Raises:
        MissingPartError: jinja2 or matplotlib is not installed.
    """
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
        from markupsafe import Markup

        from text_uda.report.drawing import svg
    except ImportError as error:
        raise MissingPartError('the page needs jinja2 and matplotlib: pip install "text-uda[report]"') from error
    templates = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = (_HERE / "page.js").read_text("utf-8")
    examples, examples_left = sources(comparisons)
    rows, rows_left, rows_known = disagreements(comparisons)
    numbers = itertools.count(1)

    def drawn(chart: Chart, *, narrow: bool) -> Markup:
        return Markup(svg(chart, f"f{next(numbers)}", narrow=narrow))

    return templates.get_template("page.html").render(
        comparisons=comparisons,
        title=_title(comparisons),
        findings=[(comparison.title, found) for comparison in comparisons for found in _findings(comparison)],
        remarks=[(str(path), [f"Left out: {why}"]) for path, why in (left_out or {}).items()] + _remarks(comparisons),
        runs=_runs(comparisons),
        written=datetime.now(UTC).strftime("%-d %B %Y"),
        examples=examples,
        examples_left=examples_left,
        groups=list({group.label: group for one in comparisons for group in one.groups if group.statuses}.values()),
        statuses=sorted({made.status for source in examples for made in source.made}),
        rows=rows,
        rows_left=rows_left,
        rows_known=rows_known,
        judged=list({said.group.label: said.group for row in rows for said in row.said}.values()),
        kinds={"gained": GAINED, "lost": LOST, "nobody": NOBODY},
        true_classes=sorted({row.label for row in rows}),
        paper=[(name, write(comparisons)) for name, write in _PAPER],
        origin=_origin(comparisons),
        figures=figures,
        drawn=drawn,
        hue=_hue,
        table=table,
        share=_share,
        style=Markup((_HERE / "page.css").read_text("utf-8")),
        script=Markup(script),
        script_digest=b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _hue(colour: int) -> str:
    """Classes of page.css: its variable, and the lap when the hues are used up."""
    own = style(colour)
    return f"c{own.hue}" + (f" l{min(own.lap, 2)}" if own.lap else "")


def _title(comparisons: list[Comparison]) -> str:
    if len(comparisons) == 1:
        return comparisons[0].title
    names = list(dict.fromkeys(comparison.config["data"]["name"] for comparison in comparisons))
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def _findings(comparison: Comparison) -> Iterator[str]:
    """What the numbers say in a sentence; and where they say nothing, that."""
    changes = {group: comparison.against_baseline(group) for group in comparison.groups}
    known = [(change.mean, group, change) for group, change in changes.items() if change is not None]
    if comparison.baseline is None or not known:
        return
    _, group, change = min(known, key=lambda item: item[0])
    own, base = group.estimate("test_error"), comparison.baseline.estimate("test_error")
    assert own is not None and base is not None
    errs = f"on {own.text()}% of the test rows, against {base.text()}% with {LABELS_ALONE}"
    if change.mean < 0:
        said = f"With {group.label} the model errs least: {errs}."
    else:
        said = f"No method errs less than {LABELS_ALONE}. The nearest, {group.label}, errs {errs}."
    if change.half_width is None:
        yield f"{said} That is one seed: the next may say otherwise."
    else:
        unsure = change.low <= 0 <= change.high
        doubt = f": {change.count} seeds do not tell them apart" if unsure else ""
        yield f"{said} Seed by seed that is {change.text(sign=True)} points{doubt}."
    own, base = (each.estimate("test_macro_f1") for each in (group, comparison.baseline))
    if comparison.skewed and own is not None and base is not None:
        yield (
            f"Classes are not equally frequent: by macro-F1, where each counts the same, {group.label} has "
            f"{own.text()}% against {base.text()}%."
        )


def _remarks(comparisons: list[Comparison]) -> list[tuple[str, list[str]]]:
    """(where, what): of each comparison, then of each run the warnings it gave."""
    named = len(comparisons) > 1
    found = [(c.title if named else "", [remark]) for c in comparisons for remark in c.remarks()]
    found += [(run.name, [str(w) for w in run.result["warnings"]]) for run in _runs(comparisons)]
    return [(where, what) for where, what in found if what]


def _runs(comparisons: list[Comparison]) -> list[Run]:
    return [run for comparison in comparisons for group in comparison.groups for run in group.runs]


def _share(group: Group, true: int, predicted: int) -> float | None:
    """Share of the rows of a class that got a prediction; None where the class has no rows."""
    row = group.confusion[true]
    return row[predicted] / sum(row) if sum(row) else None


def _origin(comparisons: list[Comparison]) -> Origin:
    rows = [(run, flat(_shown(run))) for run in _runs(comparisons)]
    names = list(dict.fromkeys(name for _, settings in rows for name in settings))
    differing = [name for name in names if len({settings.get(name) for _, settings in rows}) > 1 or name in _OWN]
    shared = {name: value for name, value in rows[0][1].items() if name not in differing}
    return Origin(shared, differing, rows)


def _shown(run: Run) -> dict[str, Any]:
    """The configuration without what it says twice."""
    again = run.config["settings"].keys()
    return {name: value for name, value in run.config.items() if name not in again}
