"""The page: the values of the templates. The templates escape everything that comes from a run."""

import hashlib
import itertools
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from text_uda.errors import MissingPartError
from text_uda.report import figures, table
from text_uda.report.chart import Chart
from text_uda.report.comparison import LABELS_ALONE, Comparison, Group
from text_uda.report.disagreement import GAINED, LOST, NOBODY, disagreements
from text_uda.report.grouping import flat
from text_uda.report.load_runs import Run
from text_uda.report.palette import style
from text_uda.report.paraphrase_examples import sources
from text_uda.report.table_files import to_csv, to_latex, to_markdown
from text_uda.report.task_means import mean_rows, task_means, without_table

_HERE = Path(__file__).parent
_PAPER_FORMATS = (("Markdown", to_markdown), ("LaTeX", to_latex), ("CSV", to_csv))
_NUMBER = re.compile(r"\d[\d.,]*")
_ALWAYS_DIFFERENT = ("name", "seed", "settings.seed", "data.digest", "cache_digest")  # between two runs


@dataclass(frozen=True)
class Origin:
    """The settings that all runs share, and those that differ between runs."""

    shared: dict[str, str]
    differing: list[str]
    rows: list[tuple[Run, dict[str, str]]]


def render(comparisons: list[Comparison], left_out: Mapping[Path, str] | None = None) -> str:
    """The whole page, which loads nothing from the network.

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
        findings=findings(comparisons),
        remarks=[(str(path), [f"Left out: {why}"]) for path, why in (left_out or {}).items()] + _remarks(comparisons),
        runs=_runs(comparisons),
        date=datetime.now(UTC).strftime("%-d %B %Y"),
        examples=examples,
        examples_left=examples_left,
        groups=list(
            {group.label: group for comparison in comparisons for group in comparison.groups if group.statuses}.values()
        ),
        statuses=sorted({paraphrase.status for source in examples for paraphrase in source.paraphrases}),
        rows=rows,
        rows_left=rows_left,
        rows_known=rows_known,
        voters=list({vote.group.label: vote.group for row in rows for vote in row.votes}.values()),
        kinds={"gained": GAINED, "lost": LOST, "nobody": NOBODY},
        true_classes=sorted({row.label for row in rows}),
        paper=[(name, write(comparisons)) for name, write in _PAPER_FORMATS],
        origin=_origin(comparisons),
        figures=figures,
        drawn=drawn,
        hue=_hue,
        table=table,
        task_means=[(means, mean_rows(means)) for means in task_means(comparisons)],
        share=_share,
        style=Markup((_HERE / "page.css").read_text("utf-8")),
        script=Markup(script),
        script_digest=b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _hue(colour: int) -> str:
    """Classes of page.css: the hue, and the lap where the hues repeat."""
    group_style = style(colour)
    return f"c{group_style.hue}" + (f" l{min(group_style.lap, 2)}" if group_style.lap else "")


def _title(comparisons: list[Comparison]) -> str:
    if len(comparisons) == 1:
        return comparisons[0].title
    tasks = [task for means in task_means(comparisons) for task in means.comparisons]
    names = list(dict.fromkeys(tasks or (comparison.config["data"]["name"] for comparison in comparisons)))
    return ", ".join(names[:4]) + (", …" if len(names) > 4 else "")


def findings(comparisons: list[Comparison]) -> list[tuple[str, str]]:
    """(title, sentence): the main result of each table, also where there is no difference. Means over tasks first."""
    of_tasks = [(means.title, text) for means in task_means(comparisons) for text in means.findings()]
    return of_tasks + [(comparison.title, text) for comparison in comparisons for text in _findings_of(comparison)]


def _findings_of(comparison: Comparison) -> Iterator[str]:
    changes = {group: comparison.against_baseline(group) for group in comparison.groups}
    known = [(change.mean, group, change) for group, change in changes.items() if change is not None]
    if comparison.baseline is None or not known:
        return
    _, group, change = min(known, key=lambda item: item[0])
    error, base = group.estimate("test_error"), comparison.baseline.estimate("test_error")
    assert error is not None and base is not None
    if change.mean < 0:
        best = (
            f"The test error is lowest with {group.label}: {error.text()}%, against {base.text()}% with {LABELS_ALONE}."
        )
    else:
        best = (
            f"No method has a lower test error than {LABELS_ALONE}, {base.text()}%. The closest is {group.label}, with "
            f"{error.text()}%."
        )
    yield f"{best} {change.paired_words()}"
    f1, base_f1 = (compared.estimate("test_macro_f1") for compared in (group, comparison.baseline))
    if comparison.skewed and f1 is not None and base_f1 is not None:
        yield (
            f"The classes differ in size: in macro-F1, where each class has the same weight, {group.label} has "
            f"{f1.text()}% against {base_f1.text()}%."
        )


def _remarks(comparisons: list[Comparison]) -> list[tuple[str, list[str]]]:
    """(subject, texts): the remarks on each comparison, then the warnings of the runs."""
    several = len(comparisons) > 1
    remarks = [(c.title if several else "", [remark]) for c in comparisons for remark in c.remarks()]
    remarks += [("", [text]) for text in without_table(comparisons)]
    return remarks + _warnings(_runs(comparisons))


def _warnings(runs: list[Run]) -> list[tuple[str, list[str]]]:
    """(subject, texts): warnings that differ by their numbers alone are one remark, with the text of the first run."""
    alike: dict[str, list[tuple[str, str]]] = {}
    for run in runs:
        for warning in map(str, run.result["warnings"]):
            alike.setdefault(_NUMBER.sub("#", warning), []).append((run.name, warning))
    remarks: list[tuple[str, list[str]]] = []
    for (name, text), *others in alike.values():
        runs_more = len({other for other, _ in others} - {name})
        subject = f"{name} and {runs_more:,} more {'run' if runs_more == 1 else 'runs'}" if runs_more else name
        remarks.append((subject, [text, *(f"{other}: {warning}" for other, warning in others)]))
    return remarks


def _runs(comparisons: list[Comparison]) -> list[Run]:
    return [run for comparison in comparisons for group in comparison.groups for run in group.runs]


def _share(group: Group, true: int, predicted: int) -> float | None:
    """Share of the rows of a class with this prediction; None where the class has no rows."""
    row = group.confusion[true]
    return row[predicted] / sum(row) if sum(row) else None


def _origin(comparisons: list[Comparison]) -> Origin:
    rows = [(run, flat(_without_repetition(run))) for run in _runs(comparisons)]
    names = list(dict.fromkeys(name for _, settings in rows for name in settings))
    differing = [
        name for name in names if len({settings.get(name) for _, settings in rows}) > 1 or name in _ALWAYS_DIFFERENT
    ]
    shared = {name: value for name, value in rows[0][1].items() if name not in differing}
    return Origin(shared, differing, rows)


def _without_repetition(run: Run) -> dict[str, Any]:
    """The configuration without the top-level entries that `settings` has too."""
    repeated = run.config["settings"].keys()
    return {name: value for name, value in run.config.items() if name not in repeated}
