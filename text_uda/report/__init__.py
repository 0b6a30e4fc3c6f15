"""One self-contained page, and tables, that compare runs. Reads only run directories.

`read` loads and compares the runs once, for output in several formats; the other functions are `read` and one format.
"""

import errno
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from text_uda.errors import SettingsError
from text_uda.report.comparison import Comparison
from text_uda.report.find_runs import find_runs_in
from text_uda.report.grouping import compare
from text_uda.report.table_files import to_csv, to_latex, to_markdown
from text_uda.report.terminal_table import to_terminal
from translation_cache.atomic import make_folder, write_whole

__all__ = ["Report", "build", "export", "markdown_table", "read", "save_figures"]


@dataclass(frozen=True)
class Report:
    comparisons: list[Comparison]
    runs: list[Path]
    """The runs that are shown."""
    left_out: Mapping[Path, str]
    """Paths that are not shown, and why. A caller may add paths, even such that do not exist."""

    def page(self, out: Path) -> Path:
        """Write the page, whole or not at all; returns its path."""
        from text_uda.report.page import render

        _write(Path(out), render(self.comparisons, self.left_out), "the report", "file")
        return Path(out)

    def markdown(self) -> str:
        """One table per comparison, one line per method: means over seeds with 95% intervals."""
        return to_markdown(self.comparisons, self.left_out)

    def terminal(self, width: int) -> str:
        """The tables for a terminal of this width, with the columns that fit."""
        return to_terminal(self.comparisons, width)

    def findings(self) -> list[str]:
        """The main result of each table in sentences, also where there is no difference."""
        from text_uda.report.page import findings

        return [sentence for _, sentence in findings(self.comparisons)]

    def export(self, folder: Path) -> list[Path]:
        """Write table.md, table.tex (booktabs) and table.csv, each whole or not at all; returns their paths."""
        contents = {
            "table.md": self.markdown() + "\n",
            "table.tex": to_latex(self.comparisons),
            "table.csv": to_csv(self.comparisons),
        }
        for name, content in contents.items():
            _write(Path(folder) / name, content, "the table", "folder")
        return [Path(folder) / name for name in contents]

    def figures(self, folder: Path) -> list[Path]:
        """Write each figure of the page as SVG and PDF, each whole or not at all; returns their paths."""
        from text_uda.report.figures import save_figures

        return save_figures(self.comparisons, folder)


def read(runs: Sequence[Path], *, strict: bool = True) -> Report:
    """Load finished runs and compare them.

    Args:
        runs: run directories, or folders of run directories, such as a study's.
        strict: a run directory among `runs` must be finished and whole; otherwise it is listed in `left_out`.
    Raises:
        SettingsError: there is no finished run; a run directory is not finished or is damaged (where strict); or runs
            have different data.
    """
    loaded = find_runs_in(runs, strict=strict)
    return Report(compare(loaded.runs), [run.path for run in loaded.runs], loaded.left_out)


def build(runs: Sequence[Path], out: Path) -> Path:
    """Write the page that compares finished runs, whole or not at all; returns its path.

    Raises:
        SettingsError: as `read`, or `out` cannot be written.
        MissingPartError: without the extra `report`.
    """
    return read(runs).page(out)


def markdown_table(runs: Sequence[Path]) -> str:
    """The table of the page in Markdown. Raises as `read`."""
    return read(runs).markdown()


def export(runs: Sequence[Path], folder: Path) -> list[Path]:
    """Write the table as table.md, table.tex and table.csv. Raises as `build`."""
    return read(runs).export(folder)


def save_figures(runs: Sequence[Path], folder: Path) -> list[Path]:
    """Write the figures of the page as SVG and PDF, for a paper. Raises as `build`."""
    return read(runs).figures(folder)


def _write(path: Path, content: str, subject: str, kind: str) -> None:
    try:
        make_folder(path.parent)
        write_whole(path, content)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise  # the command names the disk that is full
        reason = error.strerror or error
        raise SettingsError(f"{subject} {path} cannot be written ({reason}); name another {kind}") from error
