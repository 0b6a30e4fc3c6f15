"""`report` and `demo`: results to look at."""

from pathlib import Path

import click

from text_uda.cli.failures import keeps
from text_uda.cli.options import FILE, FOLDER, ends
from text_uda.cli.output import emit_json, printable


@click.command(short_help="Write one page that compares runs.")
@click.argument(
    "runs",
    metavar="RUN...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
@click.option("--out", type=FILE, required=True, metavar="FILE", help="The page to write, an .html file.")
@click.option("--figures", type=FOLDER, metavar="DIR", help="Also write each figure there, as SVG and PDF.")
@ends
def report(runs: tuple[Path, ...], out: Path, figures: Path | None, as_json: bool) -> None:
    """Write one self-contained page that compares runs, and print the table.

    \b
    Example:
      text-uda report runs/* --out report.html
      text-uda report runs/* --out report.html --figures figures
    """
    from text_uda.report import build, markdown_table, save_figures

    written = build(runs, out)
    drawn = [] if figures is None else save_figures(runs, figures)
    if as_json:
        record = {"report": str(written), "runs": [str(run) for run in runs]}
        emit_json(record if figures is None else record | {"figures": [str(path) for path in drawn]})
        return
    click.echo(markdown_table(runs))
    click.echo(f"\nthe page: {printable(str(written))}")
    if figures is not None:
        click.echo(f"the figures: {len(drawn)} files in {printable(str(figures))}")


@click.command(short_help="The whole way on real text, on a CPU, in minutes.")
@click.option(
    "--out",
    type=FOLDER,
    default=Path("demo"),
    show_default=True,
    metavar="DIR",
    help="Where everything goes.",
)
@ends
def demo(out: Path, as_json: bool) -> None:
    """The whole way on real text, on a CPU, in minutes: paraphrase, train three ways, compare, report.

    \b
    Example:
      text-uda demo
    """
    from text_uda.demo import run

    with keeps(f"what is done is kept in {out}; the same command goes on from there"):
        record = run(out)
    if as_json:
        emit_json(record if isinstance(record, dict) else {"out": str(out)})
