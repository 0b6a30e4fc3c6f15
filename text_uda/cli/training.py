"""`train`: from a few labels and cached pairs to a run directory."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from text_uda.cli.augmentation_choice import IN_STEP, AugmentationChoice, augmentation_options
from text_uda.cli.failures import keeps
from text_uda.cli.objective_options import ObjectiveChoice, objective_options
from text_uda.cli.output import emit_json, is_main_process, printable
from text_uda.cli.shared_options import (
    CACHE_WORDS,
    COUNT,
    FOLDER,
    CacheLocation,
    DataChoice,
    LabelCount,
    data_options,
    dev_option,
    encoder_option,
    ends,
    gathered,
    label_sampling_option,
)
from text_uda.cli.training_options import LoopChoice, loop_options
from text_uda.errors import SettingsError
from text_uda.runs.directory import REFIT, RunDirectory

if TYPE_CHECKING:
    from text_uda.paraphrasing.filters import Filters

# The names of text_uda.training.trackers.Tracker, not imported here. A test compares.
TRACKERS = ("tensorboard", "trackio", "wandb")


# The names of text_uda.paraphrasing.filters.ACCEPTABLE, not imported here. A test compares.
ACCEPTABLE = ("language", "length-ratio", "repetition", "protected", "numbers", "negation")


@dataclass(frozen=True, kw_only=True)
class FilterChoice:
    """Which paraphrases are used, judged anew where something is given."""

    accept: tuple[str, ...]
    max_length_ratio: float | None
    min_change: float | None
    max_change: float | None

    def build(self, method: str) -> "Filters | None":
        given = {name: value for name, value in vars(self).items() if value not in (None, ())}
        if not given:
            return None
        if method == "none":
            option = next(iter(given)).replace("_", "-")
            raise SettingsError(f"--{option} chooses among paraphrases; give --augment METHOD, or leave it out")
        from text_uda.paraphrasing.filters import Filters

        return Filters(**given)


_filter_options = gathered(
    FilterChoice,
    click.option(
        "--accept",
        multiple=True,
        type=click.Choice(ACCEPTABLE),
        help="Use paraphrases that were rejected for this reason; may be given several times.",
    ),
    click.option("--max-length-ratio", type=float, metavar="R", help="Most words for one of the source."),
    click.option("--min-change", type=float, metavar="SHARE", help="Least share of words that it changes."),
    click.option("--max-change", type=float, metavar="SHARE", help="Largest share of words that it changes."),
    under="filters",
)


@click.command(short_help="Train a classifier from few labels and unlabeled texts.")
@data_options()
@click.option(
    "--labels",
    type=LabelCount(),
    required=True,
    metavar="N|all",
    help="Labeled texts in all (--label-sampling draws them); `all` labels every text of the training side but the"
    " development rows.",
)
@label_sampling_option
@click.option("--unlabeled-texts", type=COUNT, metavar="N", help="Use no more than N unlabeled texts.")
@dev_option
@augmentation_options(method="--augment", seed="--augment-seed", training=True)
@click.option("--cache", "cache_path", type=CacheLocation(), metavar="DIR", help=CACHE_WORDS)
@_filter_options
@objective_options
@encoder_option
@loop_options
@click.option("--out", type=FOLDER, required=True, metavar="RUN", help="Run directory to write.")
@click.option("--name", metavar="NAME", help="Name of the run in reports. [default: METHOD seed N]")
@click.option(
    "--max-minutes", type=click.FloatRange(0, min_open=True), metavar="M", help="Stop after M minutes, to go on later."
)
@click.option("--track", multiple=True, type=click.Choice(TRACKERS), help="Send the metrics there, too.")
@click.option(
    "--refit", is_flag=True, help="When finished, also train on all labels, development rows too: RUN/refit, for use."
)
@click.option("--resume/--no-resume", default=True, show_default=True, help="Go on from the last checkpoint in RUN.")
@ends
def train(
    data: DataChoice,
    labels: Any,
    label_sampling: Any,
    unlabeled_texts: int | None,
    dev_rows: int | Path | None,
    augmentation: AugmentationChoice,
    cache_path: str | None,
    filters: FilterChoice,
    objective: ObjectiveChoice,
    encoder: str,
    loop: LoopChoice,
    out: Path,
    name: str | None,
    max_minutes: float | None,
    track: tuple[str, ...],
    refit: bool,
    resume: bool,
    as_json: bool,
) -> None:
    """Train a classifier from N labels and the unlabeled texts of DATA.

    Without --cache, switchout, uniform and cutoff make the second view of a text in the training step, anew each time.

    \b
    Example:
      text-uda train movie-snippets --labels 60 --objective logistic-regression --out run-regression
      text-uda train movie-snippets --labels 60 --out run-none --tune head
      text-uda train movie-snippets --labels 60 --augment switchout --rate 0.2 --tune last:2 --out run-switchout
      text-uda train movie-snippets --labels 60 --augment back-translation --cache paraphrases \\
          --out run --refit
      text-uda train movie-snippets --labels 60 --objective mean-teacher --tune last:2 --out run-mean-teacher
      text-uda train tickets.csv --labels 40 --label-sampling proportional --out run-skewed
      text-uda train tickets.csv --labels all --dev checked.csv --test newest.csv --out run-all
    """
    if augmentation.method not in ("none", *IN_STEP) and cache_path is None:
        raise SettingsError(
            f"--augment {augmentation.method} reads what `text-uda paraphrase` made; say where: --cache DIR"
        )
    if augmentation.method == "none" and (cache_path is not None or augmentation.samples != 1):
        raise SettingsError("--cache and --samples are about paraphrases; give --augment METHOD, or leave them out")
    if augmentation.method != "none" and cache_path is None and augmentation.augment_seed:
        raise SettingsError("--augment-seed is that of a cache; in the training step --seed decides: leave it out")
    if augmentation.method == "cutoff" and cache_path is not None:
        raise SettingsError("--augment cutoff works on embeddings in the training step; leave out --cache")
    preset, judges = objective.build(augmentation.method), filters.build(augmentation.method)
    if not preset.losses:
        loop.check_reads_features(objective.objective)
    from text_uda.data import split
    from text_uda.model.precision import describe_precision
    from text_uda.model.pretrained import hidden_width
    from text_uda.training.train_classifier import TrainSettings
    from text_uda.training.train_classifier import train as run_training

    data, dev = data.with_dev(dev_rows)
    settings = TrainSettings(encoder=encoder, samples=augmentation.samples, **loop.given())
    job = augmentation.build(encoder=encoder, texts=data.training_texts, cache=cache_path)
    parts = split(
        data.load(),
        labels=labels,
        seed=loop.seed,
        dev=dev,
        unlabeled=unlabeled_texts,
        label_sampling=label_sampling,
    )
    objective.check_classes(parts.classes)
    if not as_json and is_main_process():
        click.echo(
            f"{printable(parts.name)}, {len(parts.classes)} classes:"
            f" {len(parts.labeled.texts):,} labeled, {len(parts.unlabeled):,} unlabeled,"
            f" {len(parts.dev.texts):,} dev, {len(parts.test.texts):,} test texts"
        )
        if label_sampling != "balanced" or labels == "all":
            counts = zip(parts.classes, parts.labels_per_class, strict=True)
            click.echo(f"labeled: {', '.join(f'{printable(name, 40)} {count:,}' for name, count in counts)}")
        with suppress(SettingsError):  # the training says so, after what is wrong with the cache
            width = hidden_width(settings.encoder)
            numbers = RunDirectory(out).numbers(settings.precision, width, resume=resume)
            click.echo(f"forward passes in {describe_precision(settings.precision, numbers, width=width)}")
    with keeps(f"the last checkpoint is kept in {out}; the same command goes on from there"):
        result = run_training(
            parts,
            objectives=preset.objectives,
            averaging=preset.averaging,
            augmentation=job,
            cache=cache_path,
            filters=judges,
            settings=settings,
            out=out,
            name=name,
            resume=resume,
            max_minutes=max_minutes,
            track=track,  # pyright: ignore[reportArgumentType]
            refit=refit,
        )
    if not is_main_process():
        return
    if as_json:
        emit_json(_without_rows(result))
    else:
        _say(result, out)


def _without_rows(result: dict[str, Any]) -> dict[str, Any]:
    """But for test_correct, a character of six test rows."""
    shown = {name: value for name, value in result.items() if name != "test_correct"}
    return shown | {"refit": _without_rows(result["refit"])} if "refit" in result else shown


def _say(result: dict[str, Any], out: Path) -> None:
    last = _figures(result, "last", "steps", "last_")
    if result.get("selected_by") == "last":
        click.echo(last + _calibrated(result))
    else:
        by = f"dev {result['selected_by']} of {result['dev_rows']:,} texts" if "dev_rows" in result else "dev"
        click.echo(_figures(result, f"chosen by {by}", "best_step") + _calibrated(result))
        click.echo(last)
    if coverage := result["augmentation"]:
        click.echo(
            f"{coverage['method']}: {coverage['usable']:.1%} of the texts have a usable paraphrase,"
            f" {coverage['change_rate']:.1%} of the words in these are changed"
        )
    if result.get("changed") is not None:
        click.echo(f"the view made in the step changes {result['changed']:.1%} of the tokens or of their numbers")
    click.echo(f"the run is in {printable(str(out))}, its model in {printable(str(out / 'model'))}")
    if refit := result.get("refit"):
        click.echo(
            f"the model for use, trained on all labels, is in {printable(str(out / REFIT / 'model'))}: test error"
            f" {refit['test_error']:.2f}%, by which nothing was chosen"
        )


def _figures(result: dict[str, Any], words: str, step: str, prefix: str = "") -> str:
    """Of a run that an earlier version finished, the errors alone are known."""
    told = f"{words} (step {result[step]:,}): dev error {result[f'{prefix}dev_error']:.2f}%"
    names = {"error": "test error", "balanced_error": "balanced error", "macro_f1": "macro-F1"}
    known = {name: result[f"{prefix}test_{name}"] for name in names if f"{prefix}test_{name}" in result}
    return ", ".join([told, *(f"{names[name]} {value:.2f}%" for name, value in known.items())])


def _calibrated(result: dict[str, Any]) -> str:
    calibration = result.get("calibration")  # a run that an earlier version finished has none
    return f", calibration error {calibration['error']:.1f}%" if calibration else ""
