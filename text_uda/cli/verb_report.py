"""`report` and `demo`: results to look at."""

from pathlib import Path

import click

from text_uda.cli.failures import keeps
from text_uda.cli.output import emit_json, printable
from text_uda.cli.shared_options import FILE, FOLDER, ends


@click.command(short_help="Write one page that compares runs.")
@click.argument(
    "runs",
    metavar="RUN...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
@click.option("--out", type=FILE, required=True, metavar="FILE", help="The page to write, an .html file.")
@click.option("--tables", type=FOLDER, metavar="DIR", help="Write table.md, table.tex and table.csv there, too.")
@click.option("--figures", type=FOLDER, metavar="DIR", help="Write each figure there, too, as SVG and PDF.")
@ends
def report(runs: tuple[Path, ...], out: Path, tables: Path | None, figures: Path | None, as_json: bool) -> None:
    """Write one self-contained page that compares runs, and print the table.

    RUN is a run directory, or a folder that holds some: all finished runs below it are taken, the others named.

    \b
    Example:
      text-uda report runs/* --out report.html
      text-uda report study --out report.html --tables tables --figures figures
    """
    from text_uda.report import read

    made = read(runs)
    written = made.page(out)
    exported = made.export(tables) if tables is not None else []
    drawn = made.figures(figures) if figures is not None else []
    if as_json:
        emit_json(
            {
                "report": str(written),
                "runs": [str(run) for run in made.runs],
                "left_out": {str(path): why for path, why in made.left_out.items()},
                "tables": [str(path) for path in exported],
                "figures": [str(path) for path in drawn],
            }
        )
        return
    click.echo("\n".join(map(printable, made.markdown().splitlines())))
    click.echo(f"\nthe page: {printable(str(written))}")
    for path in exported:
        click.echo(f"the table: {printable(str(path))}")
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
    """The whole way on real text, on a CPU, in minutes: paraphrase, train five ways, compare, report.

    \b
    Example:
      text-uda demo
    """
    from text_uda.experiment.demo import run

    with keeps(f"what is done is kept in {out}; the same command goes on from there"):
        record = run(out)
    if as_json:
        emit_json(record if isinstance(record, dict) else {"out": str(out)})
