"""What a study comes to: the page, the tables and the figures, from the run directories alone."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from text_uda.errors import MissingPartError
from text_uda.experiment.study import Outcome
from text_uda.report import Report, read


def check_parts() -> None:
    """Raise MissingPartError where the report could not be written when all is trained."""
    if missing := [name for name in ("jinja2", "matplotlib", "scipy") if find_spec(name) is None]:
        raise MissingPartError(f'the report needs {", ".join(missing)}: pip install "text-uda[report]"')


def write_report(outcome: Outcome, out: Path) -> Report | None:
    """Write report.html, table.md, table.tex, table.csv and figures/ of what is finished; it names what is not.

    Returns:
        None, and nothing is written, where other shares have still to come, or no run is finished.
    Raises:
        SettingsError: nothing that is finished can be read, or the folder cannot be written.
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
