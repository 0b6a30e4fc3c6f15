"""`ablate`: a study, from its data to the table, the figures and the page."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from text_uda.cli.failures import keeps
from text_uda.cli.output import emit_json, printable
from text_uda.cli.shared_options import (
    CACHE_WORDS,
    COUNT,
    FOLDER,
    CacheLocation,
    DataChoice,
    Shard,
    data_options,
    dev_option,
    ends,
    label_sampling_option,
)

if TYPE_CHECKING:
    from text_uda.experiment.study import Outcome
    from text_uda.report import Report

# The names of text_uda.experiment.STUDIES and the sizes of `setting`, not imported here. A test compares.
STUDIES = ("table2", "labels", "objectives", "tsa", "temperature", "ratio", "unlabeled", "ladder")
SIZES = ("smoke", "small", "paper", "usb")


@click.command(short_help="Run a study: many runs over methods and seeds, a table, a page.")
@click.argument("study", type=click.Choice(STUDIES))
@data_options(as_option=True)
@click.option("--size", type=click.Choice(SIZES), default="small", show_default=True, help="How much of it.")
@click.option("--labels", "few", type=COUNT, metavar="N", help="Labels in all, where they are few.")
@label_sampling_option
@dev_option
@click.option("--seeds", type=COUNT, metavar="N", help="Seeds, from 0. [default: 5; smoke 2, usb 3]")
@click.option(
    "--encoder", metavar="NAME", help="Encoder. [default: minilm-l6; paper, usb: google-bert/bert-base-uncased]"
)
@click.option("--tune", metavar="head|last:N|all", help="Which weights are trained. [default: head; paper, usb: all]")
@click.option("--translator", metavar="ENGINE", help="Of the back-translation, as in `text-uda paraphrase`.")
@click.option("--cache", "cache_path", type=CacheLocation(), metavar="DIR", help=f"{CACHE_WORDS} [default: OUT/cache]")
@click.option("--fill", is_flag=True, help="Make the paraphrases that are missing.")
@click.option("--workers", type=COUNT, metavar="N", help="Runs side by side. [default: what the machine allows]")
@click.option("--shard", type=Shard(), metavar="i/n", help="Only the i-th of n shares of the runs, i from 1.")
@click.option("--estimate", is_flag=True, help="Say what it will cost, from a measured minute, and do nothing else.")
@click.option("--out", type=FOLDER, required=True, metavar="DIR", help="Folder of the study.")
@ends
def ablate(
    study: str,
    data: DataChoice,
    size: Any,
    few: int | None,
    label_sampling: Any,
    dev_rows: int | Path | None,
    seeds: int | None,
    encoder: str | None,
    tune: str | None,
    translator: str | None,
    cache_path: str | None,
    fill: bool,
    workers: int | None,
    shard: tuple[int, int] | None,
    estimate: bool,
    out: Path,
    as_json: bool,
) -> None:
    """Run a study; given again, the same command goes on from what is finished.

    \b
    table2       no, synonym, SwitchOut and back-translated paraphrases; few labels and all
    labels       error against the number of labels, with consistency and without
    objectives   every method
    tsa, ratio   training signal annealing; unlabeled rows for each labeled one
    temperature  at which back-translation samples
    unlabeled    how many unlabeled texts there are
    ladder       a head, the last two layers, the whole encoder, with each augmentation

    The sizes: smoke takes a minute, small runs on a laptop, paper has the settings of the UDA paper, usb those of the
    USB benchmark (yelp-5, amazon-5, imdb, ag-news; what differs stands in text_uda/experiment/usb.py).

    DIR then holds report.html, table.md, table.tex, table.csv, figures, and a run directory for each run.

    \b
    Example:
      text-uda ablate table2 --data movie-snippets --size smoke --fill --out study
      text-uda ablate labels --data reviews.tsv --unlabeled more.jsonl --size small --fill --out study
      text-uda ablate table2 --data yelp-5 --size paper --estimate --out study
    """
    from text_uda.experiment.catalogue import STUDIES as functions
    from text_uda.experiment.cost import cost
    from text_uda.experiment.sizes import limit_of, setting
    from text_uda.experiment.study import run_study, share
    from text_uda.experiment.study_report import check_parts, write_report

    check_parts()
    data, dev = data.limited(limit_of(size)).with_dev(dev_rows)
    common = setting(
        data.load(),
        size,
        few=few,
        label_sampling=label_sampling,
        dev=dev,
        seeds=seeds,
        encoder=encoder,
        tune=tune,
        translator=translator,
    )
    trials = list(functions[study](common))
    if estimate or (size in ("paper", "usb") and not (out / "study.json").exists()):
        found = cost(share(trials, shard), data.load(), workers=workers)
        if estimate and as_json:
            emit_json(found.record())
            return
        click.echo(str(found), err=as_json)
        if estimate:
            return
    with keeps(f"what is finished is kept in {out}; the same command goes on from there"):
        outcome = run_study(
            trials, data.arguments(), out=out, cache=cache_path, fill=fill, workers=workers, shard=shard
        )
    written = write_report(outcome, out)
    if as_json:
        emit_json(
            {
                "out": str(out),
                "finished": [str(run) for run in outcome.finished],
                "failed": dict(outcome.failed),
                "elsewhere": outcome.elsewhere,
                "report": str(out / "report.html") if written else None,
                "left_out": {str(path): why for path, why in written.left_out.items()} if written else {},
            }
        )
    else:
        _say(outcome, out, written)
    if outcome.failed:
        raise click.exceptions.Exit(1)


def _say(outcome: "Outcome", out: Path, written: "Report | None") -> None:
    if written is not None:
        click.echo("\n".join(map(printable, written.markdown().splitlines())))
        click.echo(f"\nthe page: {printable(str(out / 'report.html'))}; beside it the tables and figures for a paper")
    if outcome.elsewhere:
        click.echo(
            f"{outcome.elsewhere:,} runs are left to other shares; when they are finished, the same command without "
            "--shard writes the report"
        )
    for name, why in outcome.failed.items():
        click.echo(f"failed: {printable(name)}: {printable(why)}", err=True)
    if outcome.failed:
        click.echo(f"{len(outcome.failed):,} runs failed; the same command tries them again", err=True)
