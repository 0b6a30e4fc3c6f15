"""`pseudo-label`: the unlabeled rows that a run labels with confidence, to hand on."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from text_uda.cli.grouped_help import option, verb
from text_uda.cli.output import emit_json, printable, table
from text_uda.cli.parameter_types import COUNT, FILE
from text_uda.cli.shared_options import ends, precision_option, run_argument, text_column_option
from text_uda.progress import followed
from text_uda.runs.directory import RunDirectory

if TYPE_CHECKING:
    from text_uda.model.precision import Precision


@verb()
@run_argument
@click.argument("source", metavar="DATA")
@option(
    "--out",
    type=FILE,
    required=True,
    metavar="FILE",
    help="A csv, tsv, jsonl or parquet file: the columns of DATA, with the predicted class as label, and probability.",
)
@option(
    "--threshold",
    type=click.FloatRange(0, 1),
    default=0.9,
    show_default=True,
    metavar="X",
    help="The smallest probability of a predicted class.",
)
@option(
    "--per-class",
    type=COUNT,
    metavar="N",
    help="At most N rows of each class, the most probable ones.",
    default_words="all rows above the threshold",
)
@text_column_option
@option(
    "--label-column",
    group="Data",
    metavar="NAME",
    help="Column of the labels: rows that have one are left out.",
    default_words="the one with a usual name, if there is one",
)
@precision_option
@ends
def pseudo_label(
    run: Path,
    source: str,
    out: Path,
    threshold: float,
    per_class: int | None,
    text_column: str | None,
    label_column: str | None,
    precision: "Precision",
    as_json: bool,
) -> None:
    """Write the unlabeled rows of DATA that the model in RUN labels with confidence, with label and probability.

    \b
    Example:
      text-uda pseudo-label run tickets.csv --out confident.csv --threshold 0.95
    """
    RunDirectory(run).check_finished()
    from text_uda.runs.pseudo_labels import pseudo_label

    with followed("pseudo-label", "rows") as progress:
        record = pseudo_label(
            run,
            source,
            out,
            threshold=threshold,
            per_class=per_class,
            text_column=text_column,
            label_column=label_column,
            precision=precision,
            progress=progress,
        )
    if as_json:
        emit_json(record)
        return
    click.echo(
        f"wrote {printable(str(out))}: {record['rows']:,} of {record['unlabeled_rows']:,} unlabeled rows of"
        f" {printable(source)}, each with a probability of at least {threshold:g} (as the model gives it, not"
        " calibrated)"
    )
    if record["labeled_rows"]:
        click.echo(f"{record['labeled_rows']:,} rows have a label already and are left out")
    if record["blank_rows"]:
        click.echo(f"{record['blank_rows']:,} rows with a blank text are left out")
    click.echo(table([("class", "rows"), *((printable(k, 40), f"{n:,}") for k, n in record["per_class"].items())]))
    if not record["rows"] and record["highest"] is not None:
        click.echo(f"no row is probable enough: the highest probability is {record['highest']:.3f}")
    click.echo(_expected_error(record["dev"], threshold))


def _expected_error(dev: dict[str, Any] | None, threshold: float) -> str:
    if dev is None:
        return "the expected error is unknown: the run kept no development predictions (an earlier version, or no rows)"
    if not dev["rows"]:
        return f"the expected error is unknown: no development row has a probability of at least {threshold:g}"
    low, high = dev["interval"]
    return (
        f"expect {dev['error']:.1f}% wrong labels (95% interval {low:.1f} to {high:.1f}, Wilson): {dev['errors']:,} of"
        f" the {dev['rows']:,} development rows above the threshold are wrong"
    )
