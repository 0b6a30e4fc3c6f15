"""`report`: one page that compares runs."""

from pathlib import Path

import click

from text_uda.cli.grouped_help import option, verb
from text_uda.cli.output import echo_table, emit_json, printable
from text_uda.cli.parameter_types import FILE, FOLDER
from text_uda.cli.shared_options import ends

_NO = "not written"


@verb()
@click.argument(
    "runs",
    metavar="RUN...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
@option("--out", type=FILE, required=True, metavar="FILE", help="The page to write, an .html file.")
@option(
    "--tables",
    type=FOLDER,
    metavar="DIR",
    help="Also write table.md, table.tex and table.csv to this folder.",
    default_words=_NO,
)
@option(
    "--figures",
    type=FOLDER,
    metavar="DIR",
    help="Also write each figure to this folder, as SVG and PDF.",
    default_words=_NO,
)
@ends
def report(runs: tuple[Path, ...], out: Path, tables: Path | None, figures: Path | None, as_json: bool) -> None:
    """Write one self-contained page that compares runs, and print the table.

    RUN is a run directory or a folder of run directories. The page compares the finished runs and lists the others.

    \b
    Example:
      text-uda report runs/* --out report.html
      text-uda report study --out report.html --tables tables --figures figures
    """
    from text_uda.report import read

    comparison = read(runs)
    page = comparison.page(out)
    table_files = comparison.export(tables) if tables is not None else []
    figure_files = comparison.figures(figures) if figures is not None else []
    if as_json:
        emit_json(
            {
                "report": str(page),
                "runs": [str(run) for run in comparison.runs],
                "left_out": {str(path): reason for path, reason in comparison.left_out.items()},
                "tables": [str(path) for path in table_files],
                "figures": [str(path) for path in figure_files],
            }
        )
        return
    echo_table(comparison)
    click.echo(f"\nthe page: {printable(str(page))}")
    for path in table_files:
        click.echo(f"the table: {printable(str(path))}")
    if figures is not None:
        click.echo(f"the figures: {len(figure_files)} files in {printable(str(figures))}")
