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
from translation_cache.atomic import write_whole

LIST = "text-uda-figures.txt"
"""Beside the figures, the names of all that one call wrote."""


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

    A file of the same name is written over. Figures that an earlier call left under other names are removed: those that
    its list (LIST) names, and nothing else.

    Raises:
        SettingsError: the folder cannot be written.
        MissingPartError: matplotlib is not installed.
    """
    try:
        from text_uda.report.drawing import files
    except ImportError as error:
        raise MissingPartError('figures need matplotlib: pip install "text-uda[report]"') from error
    folder, made = Path(folder), dict[str, bytes]()
    for name, chart in _named(comparisons):
        count = next(n for n in range(1, 10_000) if f"{_numbered(name, n)}.svg" not in made)
        made |= {f"{_numbered(name, count)}.{suffix}": content for suffix, content in files(chart).items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in _listed(folder) - made.keys():
            (folder / name).unlink(missing_ok=True)
        write_whole(folder / LIST, "".join(f"{name}\n" for name in made))
        for name, content in made.items():
            write_whole(folder / name, content)
    except OSError as error:
        raise SettingsError(f"the figures cannot be written to {folder} ({error}); name another folder") from error
    return [folder / name for name in made]


def _listed(folder: Path) -> set[str]:
    """Names of the figures that an earlier call wrote; no other file is ever removed."""
    try:
        names = (folder / LIST).read_text("utf-8").splitlines()
    except (FileNotFoundError, UnicodeDecodeError):
        return set()
    return {name for name in names if re.fullmatch(r"[a-z0-9-]+\.(svg|pdf)", name)}


def _numbered(name: str, count: int) -> str:
    return f"{name}-{count}" if count > 1 else name


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
