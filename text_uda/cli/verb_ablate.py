"""`ablate`: a study, from the data to the table, the figures and the page."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from text_uda.cli.data_options import DataChoice, data_options
from text_uda.cli.failures import keeps
from text_uda.cli.grouped_help import option, verb
from text_uda.cli.output import echo_table, emit_json, note, printable
from text_uda.cli.parameter_types import COUNT, FOLDER, FamiliarChoice
from text_uda.cli.shared_options import (
    cache_option,
    dev_option,
    ends,
    label_sampling_option,
    shard_option,
)
from text_uda.errors import SettingsError
from text_uda.experiment.catalogue import SIZES, STUDIES

if TYPE_CHECKING:
    from text_uda.experiment.study import Outcome
    from text_uda.report import Report


@verb()
@click.argument("study", metavar="STUDY", type=FamiliarChoice(list(STUDIES)))
@data_options(as_option=True, limit="all; smoke: 800, small: 14000")
@option("--size", type=click.Choice(SIZES), default="small", show_default=True, help="Size of the study, see above.")
@option(
    "--labels",
    "few",
    group="Labels",
    type=COUNT,
    metavar="N",
    help="Labels of all classes together, in runs with few.",
    default_words="as published for the data sets of the paper, else 10 of each class",
)
@label_sampling_option
@dev_option
@option("--seeds", type=COUNT, metavar="N", help="Number of seeds, from 0.", default_words="5; smoke 2, usb 3")
@option(
    "--encoder",
    group="Training",
    metavar="NAME",
    help="Encoder: a hub id, or a folder that transformers opens.",
    default_words="minilm-l6; paper, usb: google-bert/bert-base-uncased",
)
@option(
    "--tune",
    group="Training",
    metavar="head|last:N|all",
    help="Which weights are trained.",
    default_words="head, for the study tasks last:2; paper, usb: all",
)
@option(
    "--steps",
    group="Training",
    type=COUNT,
    metavar="N",
    help="Steps of each run; with alternating tasks, as many for each task. The warm-up is scaled with them.",
    default_words="small: 800, with last:2 and all 400; smoke 40; paper: 10000, with all labels 60000; usb: 102400",
)
@option(
    "--translator",
    "translators",
    multiple=True,
    group="Augmentation",
    metavar="ENGINE",
    help="Engine of back-translation, as in `text-uda paraphrase`; neural ones sample at a temperature of 0.9. Can be "
    "repeated: each is compared.",
    default_words="apertium:eng-spa",
)
@cache_option(default="cache in the folder of the study")
@option("--fill", group="Augmentation", is_flag=True, help="Make the missing paraphrases.")
@option("--workers", type=COUNT, metavar="N", help="Parallel runs.", default_words="as many as the machine allows")
@shard_option("runs")
@option("--discard-models", is_flag=True, help="Remove the model of each finished run, which the report does not need.")
@option("--estimate", is_flag=True, help="Only estimate the cost, from a minute of measurement.")
@option(
    "--out", type=FOLDER, metavar="DIR", help="Folder of the study.", default_words="STUDY-DATA, such as table2-imdb"
)
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
    steps: int | None,
    translators: tuple[str, ...],
    cache_path: str | None,
    fill: bool,
    workers: int | None,
    shard: tuple[int, int] | None,
    discard_models: bool,
    estimate: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    """Run a study; a rerun of the same command resumes after the finished runs.

    \b
    table2       no, synonym, SwitchOut and back-translated paraphrases; few labels and all
    labels       error by the number of labels, with consistency and without
    objectives   every method
    tsa, ratio   training signal annealing; unlabeled rows for each labeled row
    temperature  the sampling temperature of back-translation; greedy decoding beside
    unlabeled    the number of unlabeled texts
    ladder       a head, the last two layers, the whole encoder, with each augmentation
    tasks        several tasks on one encoder or alone, with N labels of each and N/4 (--data rated-texts)
    fusion       the text, its other columns and ways to join them, with N labels and 10 N (--data wordnet-14, films)

    Sizes: smoke takes a minute, small runs on a laptop, paper has the settings of the UDA paper, and usb the settings
    of the USB benchmark (yelp-5, amazon-5, imdb, ag-news; text_uda/experiment/usb_benchmark.py lists the differences).

    DIR receives report.html, table.md, table.tex, table.csv, figures, and a run directory for each run.

    \b
    Example:
      text-uda ablate table2 --data movie-snippets --size smoke --fill --out study
      text-uda ablate labels --data reviews.tsv --unlabeled more.jsonl --size small --fill --out study
      text-uda ablate table2 --data yelp-5 --size paper --estimate --out study
      text-uda ablate tasks --data rated-texts --labels 100 --tune last:2 --seeds 8 --fill --out study
      text-uda ablate fusion --data films.csv --numeric year --categorical country --fill --out study
    """
    from text_uda.data.several_tasks import load_tasks, tasks_of
    from text_uda.experiment.cost import estimate_cost
    from text_uda.experiment.sizes import limit_of, setting
    from text_uda.experiment.study import run_study, select_share
    from text_uda.experiment.study_report import check_parts, write_report

    check_parts()
    if out is None:
        out = Path(f"{study}-{_folder_name(data.source)}")
        note(f"the folder of the study is {out}; --out names another")
    if study == "fusion":
        data = data.with_all_columns()
    elif data.has_columns:
        raise SettingsError(f"the study {study} reads texts alone: leave out --numeric, --categorical and --vector")
    data, dev = data.limited(limit_of(size)).with_dev(dev_rows)
    tasks = load_tasks(data.arguments()) if study == "tasks" else {}
    are_columns = bool(tasks) and any("partly_labeled" in one for one in tasks_of(data.arguments()).values())
    corpus = next(iter(tasks.values())) if are_columns else data.load()
    common = setting(
        corpus,
        size,
        few=few,
        label_sampling=label_sampling,
        dev=dev,
        seeds=seeds,
        steps=steps,
        encoder=encoder,
        tune=tune,
        translators=translators,
        tasks=tasks,
    )
    trials = list(STUDIES[study](common))
    if estimate or (size in ("paper", "usb") and not (out / "study.json").exists()):
        estimated = estimate_cost(select_share(trials, shard), corpus, tasks=len(tasks) or 1, workers=workers)
        if estimate and as_json:
            emit_json(estimated.record())
            return
        click.echo(str(estimated), err=as_json)
        if estimate:
            return
    with keeps(f"finished runs are kept in {out}; rerun the same command to resume"):
        outcome = run_study(
            trials,
            data.arguments(),
            out=out,
            cache=cache_path,
            fill=fill,
            workers=workers,
            shard=shard,
            keep_models=not discard_models,
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
                "left_out": {str(path): reason for path, reason in written.left_out.items()} if written else {},
            }
        )
    else:
        _say(outcome, out, written)
    if outcome.failed:
        raise click.exceptions.Exit(1)


def _folder_name(source: str) -> str:
    """A name for a folder from a data set, a hub id or a file: `reviews` of data/reviews.csv, `owner-name`."""
    name = Path(source).name.split(".")[0] if Path(source).exists() else source
    return re.sub(r"[^\w-]+", "-", name).strip("-") or "data"


def _say(outcome: "Outcome", out: Path, written: "Report | None") -> None:
    if written is not None:
        echo_table(written)
        click.echo(
            f"\nthe page: {printable(str(out / 'report.html'))}; the same folder holds tables and figures for a paper"
        )
    if outcome.elsewhere:
        click.echo(
            f"{outcome.elsewhere:,} runs belong to other shares; when they are finished, the same command without "
            "--shard writes the report"
        )
    for name, reason in outcome.failed.items():
        click.echo(f"failed: {printable(name)}: {printable(reason)}", err=True)
    if outcome.failed:
        click.echo(f"{len(outcome.failed):,} runs failed; rerun the same command to retry them", err=True)
