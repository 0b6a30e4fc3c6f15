"""All figures of a comparison, and their files for a paper."""

import re
from collections.abc import Iterator
from pathlib import Path

from text_uda.errors import MissingPartError, SettingsError
from text_uda.report.chart import Chart
from text_uda.report.comparison import Comparison
from text_uda.report.curves import training_charts
from text_uda.report.error_strips import error_by_method
from text_uda.report.reliability import reliability_diagram
from text_uda.report.trends import by_labels, by_settings, change_against_gain
from translation_cache.atomic import make_folder, write_whole

LIST = "text-uda-figures.txt"
"""A file beside the figures with the names of all figures that one call wrote."""


def beside_the_table(comparison: Comparison) -> list[Chart]:
    """Test error against settings, and against the share of words changed."""
    gain = change_against_gain(comparison)
    return [*by_settings(comparison), *([gain] if gain else [])]


def of_comparison(comparison: Comparison) -> list[Chart]:
    charts = [
        error_by_method(comparison),
        *beside_the_table(comparison),
        *training_charts(comparison),
        reliability_diagram(comparison),
    ]
    return [chart for chart in charts if chart is not None]


def save_figures(comparisons: list[Comparison], folder: Path) -> list[Path]:
    """Write each figure as SVG and PDF, whole or not at all; returns their paths.

    Files of the same name are overwritten. Other figures that an earlier call wrote are removed: exactly the files that
    its list (LIST) names.

    Raises:
        SettingsError: the folder cannot be written.
        MissingPartError: matplotlib is not installed.
    """
    try:
        from text_uda.report.drawing import paper_files
    except ImportError as error:
        raise MissingPartError('figures need matplotlib: pip install "text-uda[report]"') from error
    folder, contents = Path(folder), dict[str, bytes]()
    for name, chart in _named(comparisons):
        count = next(n for n in range(1, 10_000) if f"{_numbered(name, n)}.svg" not in contents)
        contents |= {f"{_numbered(name, count)}.{suffix}": content for suffix, content in paper_files(chart).items()}
    try:
        make_folder(folder)
        for name in _listed(folder) - contents.keys():
            (folder / name).unlink(missing_ok=True)
        write_whole(folder / LIST, "".join(f"{name}\n" for name in contents))
        for name, content in contents.items():
            write_whole(folder / name, content)
    except OSError as error:
        raise SettingsError(f"the figures cannot be written to {folder} ({error}); name another folder") from error
    return [folder / name for name in contents]


def _listed(folder: Path) -> set[str]:
    """Names of the figures that an earlier call wrote: no other file may be removed."""
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
    """A name from a run, as every file system accepts it."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60] or "data"
