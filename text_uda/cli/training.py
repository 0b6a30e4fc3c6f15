"""`train`: from a few labels and cached pairs to a run directory."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from text_uda.cli.failures import keeps
from text_uda.cli.loop import LoopChoice, loop_options
from text_uda.cli.methods import IN_STEP, AugmentationChoice, augmentation_options
from text_uda.cli.options import (
    CACHE_WORDS,
    COUNT,
    FOLDER,
    CacheLocation,
    DataChoice,
    LabelCount,
    NumbersOr,
    data_options,
    dev_option,
    encoder_option,
    ends,
    gathered,
    label_sampling_option,
)
from text_uda.cli.output import emit_json, is_main_process, printable
from text_uda.errors import SettingsError

if TYPE_CHECKING:
    from text_uda.filters import Filters
    from text_uda.objectives import Preset

# The names of text_uda.objectives.PRESETS, not imported here because it imports torch. A test compares.
OBJECTIVES = (
    "logistic-regression",
    "self-training",
    "supervised",
    "uda",
    "pi-model",
    "mean-teacher",
    "vat",
    "vat-entmin",
    "sntg",
    "vadd",
    "fast-swa",
    "ict",
    "pseudo-label",
    "mixmatch",
    "tmix",
    "lga-vat",
    "mixmixup",
    "fixmatch",
    "flexmatch",
    "freematch",
    "softmatch",
    "adamatch",
    "dash",
    "r-drop",
    "supcon",
    "infonce",
)


# The names of text_uda.tracking.Tracker, not imported here. A test compares.
TRACKERS = ("tensorboard", "trackio", "wandb")


@dataclass(frozen=True, kw_only=True)
class ObjectiveChoice:
    objective: str | None
    tsa: str
    weight: float | None
    temperature: float | None
    confidence_threshold: float | None
    ramp_up: float | None
    alignment: str | tuple[float, ...] | None
    class_weights: str | tuple[float, ...] | None
    label_smoothing: float | None
    ema_decay: float | None

    def build(self, method: str) -> "Preset":
        """The objectives whose losses add up. Without a name: `uda` where there is an augmentation."""
        from text_uda.objectives import PRESETS, all_needs

        name = self.objective or ("supervised" if method == "none" else "uda")
        preset = PRESETS[name]
        needs = all_needs(preset.objectives)
        if needs.augmentation and method == "none":
            raise SettingsError(
                f"--objective {name} compares texts with augmented ones; give --augment METHOD --cache DIR, or one of "
                f"{', '.join(IN_STEP)} without a cache"
            )
        if not needs.second_view and method != "none":
            raise SettingsError(f"--objective {name} reads no augmented texts; leave out --augment")
        given = {
            "tsa": None if self.tsa == "none" else self.tsa,
            "weight": self.weight,
            "temperature": self.temperature,
            "confidence_threshold": self.confidence_threshold,
            "ramp_up": self.ramp_up,
            "alignment": self.alignment,
            "class_weights": self.class_weights,
            "label_smoothing": self.label_smoothing,
            "ema_decay": self.ema_decay,
        }
        for option, value in given.items():
            if value is not None:
                preset = preset.having(option, None if value == "none" else value, name=name)
        return preset


_objective_options = gathered(
    ObjectiveChoice,
    click.option(
        "--objective",
        type=click.Choice(OBJECTIVES),
        help="Method to train by (docs/methods.md). [default: uda with --augment, else supervised]",
    ),
    click.option(
        "--tsa",
        type=click.Choice(("none", "log", "linear", "exp")),
        default="none",
        show_default=True,
        help="Training signal annealing: release the labeled rows by this schedule.",
    ),
    click.option("--weight", "--lambda", type=float, metavar="W", help="Factor on the unlabeled loss."),
    click.option("--temperature", type=float, metavar="T", help="Below 1 sharpens the targets."),
    click.option("--confidence-threshold", type=float, metavar="P", help="Only unlabeled rows predicted above P."),
    click.option("--ramp-up", type=float, metavar="SHARE", help="Share of the steps to grow the weight."),
    click.option(
        "--alignment",
        type=NumbersOr("none", "uniform", "labels"),
        metavar="none|uniform|labels|P,P,...",
        help="How often each class is expected among the unlabeled texts; labels: as among the labeled.",
    ),
    click.option(
        "--class-weights",
        type=NumbersOr("balanced"),
        metavar="balanced|W,W,...",
        help="Factor on the labeled loss of each class.",
    ),
    click.option("--label-smoothing", type=float, metavar="E", help="Share of a label that all classes get alike."),
    click.option("--ema-decay", type=float, metavar="D", help="How much of the averaged weights a step keeps."),
    under="objective",
)


# The names of text_uda.filters.ACCEPTABLE, not imported here. A test compares.
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
        from text_uda.filters import Filters

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
@_objective_options
@encoder_option
@loop_options
@click.option("--out", type=FOLDER, required=True, metavar="RUN", help="Run directory to write.")
@click.option("--name", metavar="NAME", help="Name of the run in reports. [default: METHOD seed N]")
@click.option(
    "--max-minutes", type=click.FloatRange(0, min_open=True), metavar="M", help="Stop after M minutes, to go on later."
)
@click.option("--track", multiple=True, type=click.Choice(TRACKERS), help="Send the metrics there, too.")
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
          --temperature 0.5 --confidence-threshold 0.8 --ramp-up 0.3 --out run
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
    from text_uda.precision import words
    from text_uda.pretrained import hidden_width
    from text_uda.run import RunDirectory
    from text_uda.train import TrainSettings
    from text_uda.train import train as run_training

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
            click.echo(f"forward passes in {words(settings.precision, numbers, width=width)}")
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
        )
    if not is_main_process():
        return
    if as_json:
        emit_json({name: value for name, value in result.items() if name != "test_correct"})  # a character of six rows
    else:
        _say(result, out)


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


def _figures(result: dict[str, Any], words: str, step: str, prefix: str = "") -> str:
    """Of a run that an earlier version finished, the errors alone are known."""
    told = f"{words} (step {result[step]:,}): dev error {result[f'{prefix}dev_error']:.2f}%"
    names = {"error": "test error", "balanced_error": "balanced error", "macro_f1": "macro-F1"}
    known = {name: result[f"{prefix}test_{name}"] for name in names if f"{prefix}test_{name}" in result}
    return ", ".join([told, *(f"{names[name]} {value:.2f}%" for name, value in known.items())])


def _calibrated(result: dict[str, Any]) -> str:
    calibration = result.get("calibration")  # a run that an earlier version finished has none
    return f", calibration error {calibration['error']:.1f}%" if calibration else ""
