"""One self-contained page, and tables, that compare runs. Reads nothing but run directories.

`read` gathers and compares once what is then written in several ways; the functions below it do all in one call.
"""

import errno
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from text_uda.errors import SettingsError
from text_uda.report.comparison import Comparison, compare
from text_uda.report.find_runs import gather
from text_uda.report.latex import latex
from text_uda.report.spreadsheet import comma_separated
from text_uda.report.table import markdown
from translation_cache.atomic import write_whole

__all__ = ["Report", "build", "export", "markdown_table", "read", "save_figures"]


@dataclass(frozen=True)
class Report:
    comparisons: list[Comparison]
    runs: list[Path]
    """Those that are shown."""
    left_out: Mapping[Path, str]
    """What cannot be shown, and why. A caller may add to it, places that are not there, too."""

    def page(self, out: Path) -> Path:
        """Write the page, whole or not at all; returns where it is."""
        from text_uda.report.page import render

        _write(Path(out), render(self.comparisons, self.left_out), "the report", "file")
        return Path(out)

    def markdown(self) -> str:
        """A table a comparison: a line a method, means over seeds with 95% intervals."""
        return markdown(self.comparisons, self.left_out)

    def export(self, folder: Path) -> list[Path]:
        """Write table.md, table.tex (booktabs) and table.csv, each whole or not at all; returns where they are."""
        made = {
            "table.md": self.markdown() + "\n",
            "table.tex": latex(self.comparisons),
            "table.csv": comma_separated(self.comparisons),
        }
        for name, content in made.items():
            _write(Path(folder) / name, content, "the table", "folder")
        return [Path(folder) / name for name in made]

    def figures(self, folder: Path) -> list[Path]:
        """Write each figure of the page as SVG and PDF, each whole or not at all; returns where they are."""
        from text_uda.report.figures import save_figures

        return save_figures(self.comparisons, folder)


def read(runs: Sequence[Path], *, strict: bool = True) -> Report:
    """Finished runs, compared.

    Args:
        runs: run directories, or folders that hold some, such as a study's.
        strict: a run that was named must be finished and whole; otherwise it is left out and told of.
    Raises:
        SettingsError: no finished run; where it is strict, one that is not finished or is damaged; or runs whose data
            differ.
        MissingPartError: without the extra `report`.
    """
    gathered = gather(runs, strict=strict)
    return Report(compare(gathered.runs), [run.path for run in gathered.runs], gathered.left_out)


def build(runs: Sequence[Path], out: Path) -> Path:
    """Write the page that compares finished runs, whole or not at all; returns where it is.

    Raises:
        SettingsError: as `read`, or a place that cannot be written.
        MissingPartError: without the extra `report`.
    """
    return read(runs).page(out)


def markdown_table(runs: Sequence[Path]) -> str:
    """The page's table in Markdown. Raises as `read`."""
    return read(runs).markdown()


def export(runs: Sequence[Path], folder: Path) -> list[Path]:
    """Write the table as table.md, table.tex and table.csv. Raises as `build`."""
    return read(runs).export(folder)


def save_figures(runs: Sequence[Path], folder: Path) -> list[Path]:
    """Write the page's figures as SVG and PDF, for a paper. Raises as `build`."""
    return read(runs).figures(folder)


def _write(path: Path, content: str, what: str, other: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise  # the command says which disk is full
        raise SettingsError(f"{what} {path} cannot be written ({error}); name another {other}") from error
