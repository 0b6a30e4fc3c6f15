"""Writes the page, the tables and the figures of a study, from its run directories."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from text_uda.errors import MissingPartError
from text_uda.experiment.study import Outcome
from text_uda.report import Report, read


def check_parts() -> None:
    """Raise MissingPartError, before any training, where the report could not be written."""
    if missing := [name for name in ("jinja2", "matplotlib") if find_spec(name) is None]:
        raise MissingPartError(f'the report needs {", ".join(missing)}: pip install "text-uda[report]"')


def write_report(outcome: Outcome, out: Path) -> Report | None:
    """Write report.html, table.md, table.tex, table.csv and figures/ of the finished runs; they name the failed ones.

    Returns:
        None, and nothing is written, where runs of other shares are missing or no run is finished.
    Raises:
        SettingsError: no finished run can be read, or the folder cannot be written.
    """
    if outcome.elsewhere or not outcome.finished:
        return None
    report = read(outcome.finished, strict=False)
    failed = {out / "runs" / name: f"failed: {why}" for name, why in outcome.failed.items()}
    report = replace(report, left_out={**failed, **report.left_out})
    report.export(out)
    report.figures(out / "figures")
    report.page(out / "report.html")
    return report
