"""All figures of a comparison, and the same as files for a paper."""

import re
from collections.abc import Iterator
from pathlib import Path

from text_uda.errors import MissingPartError, SettingsError
from text_uda.report.chart import Chart
from text_uda.report.comparison import Comparison
from text_uda.report.curves import training
from text_uda.report.reliability import reliability
from text_uda.report.strips import error_by_method
from text_uda.report.trends import by_labels, by_settings, change_against_gain
from text_uda.run import write_whole


def beside_the_table(comparison: Comparison) -> list[Chart]:
    """What else the errors depend on."""
    gain = change_against_gain(comparison)
    return [*by_settings(comparison), *([gain] if gain else [])]


def of_comparison(comparison: Comparison) -> list[Chart]:
    error, trust = error_by_method(comparison), reliability(comparison)
    shown = [error, *beside_the_table(comparison), *training(comparison), trust]
    return [chart for chart in shown if chart is not None]


def save_figures(comparisons: list[Comparison], folder: Path) -> list[Path]:
    """Each figure as SVG and as PDF, whole or not at all; returns where they are.

    A file that is there already is written over.

    Raises:
        SettingsError: the folder cannot be written.
        MissingPartError: matplotlib is not installed.
    """
    try:
        from text_uda.report.drawing import files
    except ImportError as error:
        raise MissingPartError('figures need matplotlib: pip install "text-uda[report]"') from error
    folder, written, names = Path(folder), [], set[str]()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, chart in _named(comparisons):
            count = next(n for n in range(1, 10_000) if (f"{name}-{n}" if n > 1 else name) not in names)
            names.add(name := f"{name}-{count}" if count > 1 else name)
            for suffix, content in files(chart).items():
                written.append(folder / f"{name}.{suffix}")
                write_whole(written[-1], content)
    except OSError as error:
        raise SettingsError(f"the figures cannot be written to {folder} ({error}); name another folder") from error
    return written


def _named(comparisons: list[Comparison]) -> Iterator[tuple[str, Chart]]:
    across = by_labels(comparisons)
    for name, chart in across:
        yield (f"{_slug(name)}-{chart.name}" if len(across) > 1 else chart.name), chart
    for comparison in comparisons:
        for chart in of_comparison(comparison):
            yield (f"{_slug(comparison.title)}-{chart.name}" if len(comparisons) > 1 else chart.name), chart


def _slug(text: str) -> str:
    """Of a name from a run, what any file system takes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60] or "data"
