"""One self-contained page, or a table, that compares runs. Reads nothing but run directories."""

import errno
from collections.abc import Sequence
from pathlib import Path

from text_uda.errors import SettingsError
from text_uda.report.comparison import compare
from text_uda.report.reading import read_runs
from text_uda.report.table import markdown
from text_uda.run import write_whole

__all__ = ["build", "markdown_table", "save_figures"]


def build(runs: Sequence[Path], out: Path) -> Path:
    """Write the page that compares finished runs, whole or not at all; returns where it is.

    Raises:
        SettingsError: a run that is not finished or is damaged, or a place that cannot be written.
        MissingPartError: without the extra `report`.
    """
    from text_uda.report.page import render  # jinja2 is an extra, which the table does without

    out = Path(out)
    page = render(compare(read_runs(runs)))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_whole(out, page)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise  # the command says which disk is full
        raise SettingsError(f"the report {out} cannot be written ({error}); name another file") from error
    return out


def markdown_table(runs: Sequence[Path]) -> str:
    """The page's table in Markdown: a line a method, means over seeds with 95% intervals.

    Raises:
        SettingsError: a run that is not finished or is damaged.
    """
    return markdown(compare(read_runs(runs)))


def save_figures(runs: Sequence[Path], folder: Path) -> list[Path]:
    """The page's figures as SVG and PDF files, for a paper; returns where they are.

    Raises:
        SettingsError: a run that is not finished or is damaged, or a folder that cannot be written.
        MissingPartError: without the extra `report`.
    """
    from text_uda.report import figures

    return figures.save_figures(compare(read_runs(runs)), folder)
