"""`train`: from a few labels and cached pairs to a run directory."""

import logging
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from text_uda.cli.augmentation_choice import IN_STEP, AugmentationChoice, augmentation_options
from text_uda.cli.config_file import ConfigFile, config_option, given_options
from text_uda.cli.data_options import DataChoice, data_options
from text_uda.cli.declarations import choices
from text_uda.cli.failures import keeps, kept_of_run
from text_uda.cli.fusion_options import FusionChoice, fusion_options
from text_uda.cli.grouped_help import option, verb
from text_uda.cli.objective_options import ObjectiveChoice, objective_options
from text_uda.cli.output import emit_json, is_main_process, printable
from text_uda.cli.parameter_types import COUNT, LabelCount
from text_uda.cli.settings_options import declared_options
from text_uda.cli.shared_options import (
    cache_option,
    dev_option,
    encoder_option,
    ends,
    label_sampling_option,
    max_minutes_option,
    out_option,
    resume_option,
)
from text_uda.cli.task_options import TaskChoice, describe_results, task_options
from text_uda.errors import SettingsError, listed, named
from text_uda.runs.directory import REFIT, TASKS, RunDirectory

if TYPE_CHECKING:
    from text_uda.data import Corpus, Split
    from text_uda.objectives import Preset
    from text_uda.paraphrasing.filters import Filters

log = logging.getLogger("text_uda")

TRACKERS = choices("text_uda.training.trackers", "Tracker")
ACCEPTABLE = choices("text_uda.paraphrasing.filters", "ACCEPTABLE")

_filter_options = declared_options(
    ("text_uda.paraphrasing.filters", "Filters"),
    under="filters",
    group="Augmentation",
    types={"accept": click.Choice(ACCEPTABLE)},
)
_settings_options = declared_options(
    ("text_uda.training.settings", "TrainSettings"),
    under="training",
    group="Training",
    groups=dict.fromkeys(("precision", "tokens_per_pass", "compile"), "Precision and memory"),
    leave_out=("encoder", "samples", "log_every"),
    metavars={"tune": "head|last:N|all"},
)


@verb()
@config_option
@data_options(required=False)
@task_options
@option(
    "--labels",
    group="Labels",
    type=LabelCount(),
    required=True,
    metavar="N|all",
    help="Number of labeled texts in all classes together; `all` takes every text of the training side except the"
    " development rows.",
)
@label_sampling_option
@option(
    "--unlabeled-texts",
    group="Data",
    type=COUNT,
    metavar="N",
    help="Use at most N unlabeled texts.",
    default_words="all",
)
@dev_option
@augmentation_options(method="--augment", seed="--augment-seed", training=True)
@cache_option(default="none; switchout, uniform and cutoff need none")
@_filter_options
@objective_options
@fusion_options
@encoder_option()
@_settings_options
@out_option("RUN", "Run directory to write.")
@option("--name", metavar="NAME", help="Name of the run in reports.", default_words="METHOD seed N")
@max_minutes_option
@option(
    "--track",
    multiple=True,
    type=click.Choice(TRACKERS),
    help="Also send the metrics to this tracker; can be repeated.",
    default_words="none",
)
@option(
    "--refit",
    is_flag=True,
    help="At the end, also train on all labels and the development rows: RUN/refit, the model for use.",
)
@resume_option("RUN")
@ends
def train(
    config: ConfigFile | None,
    data: DataChoice,
    tasks: TaskChoice,
    labels: Any,
    label_sampling: Any,
    unlabeled_texts: int | None,
    dev_rows: int | Path | None,
    augmentation: AugmentationChoice,
    cache_path: str | None,
    filters: dict[str, Any],
    objective: ObjectiveChoice,
    fusion: FusionChoice,
    encoder: str,
    training: dict[str, Any],
    out: Path,
    name: str | None,
    max_minutes: float | None,
    track: tuple[str, ...],
    refit: bool,
    resume: bool,
    as_json: bool,
) -> None:
    """Train a classifier from N labels and the unlabeled texts of DATA.

    --config takes DATA and options from a file: RUN/config.json runs RUN again, into another --out. Relative paths in a
    TOML file start at the current folder, as on the command line.

    Without --cache, switchout, uniform and cutoff make a new second view of a text in each training step.

    Several tasks share an encoder, each with a head of its own: name several label columns of DATA, or give the data of
    each task with --task.

    \b
    Example:
      text-uda train movie-snippets --labels 60 --encoder minilm-l6 --objective logistic-regression --out run-lr
      text-uda train movie-snippets --labels 60 --encoder minilm-l6 --tune head --out run-none
      text-uda train movie-snippets --labels 60 --encoder minilm-l6 --tune last:2 --augment switchout --out run-so
      text-uda train movie-snippets --labels 60 --encoder minilm-l6 --tune head --augment back-translation \\
          --cache paraphrases --out run --refit
      text-uda train movie-snippets --labels 60 --encoder minilm-l6 --tune last:2 --objective mean-teacher --out run-mt
      text-uda train tickets.csv --labels 40 --label-sampling proportional --out run-skewed
      text-uda train tickets.csv --labels all --dev checked.csv --test newest.csv --out run-all
      text-uda train --config run/config.json --seed 1 --out run-1
      text-uda train films.csv --labels 60 --numeric year --categorical country --fusion intermediate --out run-films
      text-uda train reviews.csv --labels 40 --label-column stars --label-column topic --tune last:2 --out run-tasks
      text-uda train --task reviews=reviews.csv --task tweets=tweets.tsv --labels 40 --tasks alternate --out run-tasks
    """
    if augmentation.method not in ("none", *IN_STEP) and cache_path is None:
        raise SettingsError(
            f"--augment {augmentation.method} reads the paraphrases of `text-uda paraphrase`; give --cache DIR"
        )
    if augmentation.method == "none" and (cache_path is not None or augmentation.samples != 1):
        raise SettingsError("--cache and --samples are for paraphrases; give --augment METHOD, or leave them out")
    if augmentation.method != "none" and cache_path is None and augmentation.augment_seed:
        raise SettingsError("--augment-seed is for a cache; in the training step --seed decides: leave it out")
    if augmentation.method == "cutoff" and cache_path is not None:
        raise SettingsError("--augment cutoff works on embeddings in the training step; leave out --cache")
    preset, chosen_filters = objective.build(augmentation.method), _filters(filters, augmentation.method)
    if not preset.losses:
        _check_baseline_reads(training, objective.objective)
    _check_is_read(preset, objective.objective or "supervised", training, data, unlabeled_texts)
    from text_uda.data import split
    from text_uda.data.several_tasks import side_by_side
    from text_uda.model.precision import describe_precision
    from text_uda.model.pretrained import check_tune, hidden_width
    from text_uda.training.train_classifier import TrainSettings
    from text_uda.training.train_classifier import train as run_training

    data, dev = data.with_dev(dev_rows)
    data_of = tasks.data_of_tasks(data)
    if data_of is not None and (fusion.fusion or data.has_columns):
        raise SettingsError("--fusion joins the columns of one task: leave it and the columns out with several tasks")
    if data_of is not None and refit:
        raise SettingsError("--refit trains the model of one task again: leave it out with several tasks")
    if labels == "all" and label_sampling != "balanced":
        raise SettingsError(f"--labels all takes every label and ignores --label-sampling {label_sampling}; omit it")
    method = None if data_of is None else tasks.checked_method(list(data_of), preset.objectives)
    settings = TrainSettings(encoder=encoder, samples=augmentation.samples, **training)
    check_tune(settings.encoder, settings.tune)
    jobs = {
        task: augmentation.build(encoder=encoder, texts=one.training_texts, cache=cache_path)
        for task, one in (data_of or {"": data}).items()
    }
    corpora: dict[str, Corpus] = {}
    for task, one in (data_of or {"": data}).items():
        with named(task):
            corpora[task] = one.load()
    given, corpora = corpora, side_by_side(corpora)
    parts: dict[str, Split] = {}
    for task, corpus in corpora.items():
        with named(task):
            parts[task] = split(
                corpus,
                labels=labels,
                seed=settings.seed,
                dev=dev,
                unlabeled=unlabeled_texts,
                label_sampling=label_sampling,
            )
    for task, of_task in parts.items():
        objective.check_classes(of_task.classes, of=f"the task {task!r}" if task else "the data")
    if config is not None:
        config.warn_of_changes(parts, encoder=encoder, augmentations=jobs, cache=cache_path)
    if (job := jobs.get("")) is not None and cache_path is not None:
        data.warn_of_left_out_texts(job, cache_path)
    if not as_json and is_main_process():
        for task, of_task in parts.items():
            if task:
                click.echo(f"task {printable(task)}:")
            shows_classes = label_sampling != "balanced" or labels == "all"
            _say_rows(corpora[task], of_task, limited=data.limit is not None, shows_classes=shows_classes)
            if tested := len(given[task].unlabeled) - len(corpora[task].unlabeled):
                click.echo(f"{tested:,} unlabeled texts are left out, as they equal a test text of another task")
        with suppress(SettingsError):  # the training raises it, after the errors of the cache
            width = hidden_width(settings.encoder)
            numbers = RunDirectory(out).resolved_precision(settings.precision, width, resume=resume)
            click.echo(f"forward passes in {describe_precision(settings.precision, numbers, width=width)}")
    shared: dict[str, Any] = {
        "objectives": preset.objectives,
        "averaging": preset.averaging,
        "cache": cache_path,
        "filters": chosen_filters,
        "settings": settings,
        "out": out,
        "name": name,
        "resume": resume,
        "max_minutes": max_minutes,
        "track": track,
        "command": given_options(),
    }
    with keeps(lambda: kept_of_run(out)):
        if method is None:
            result = run_training(parts[""], augmentation=jobs[""], refit=refit, fusion=fusion.build(), **shared)
        else:
            from text_uda.tasks.train_tasks import train_tasks

            result = train_tasks(parts, augmentation=jobs, method=method, **shared)
    if not is_main_process():
        return
    if as_json:
        emit_json(_without_rows(result))
    elif method is None:
        _say(result, out)
    else:
        click.echo(describe_results(result))
        click.echo(f"the runs of the tasks, each with its model, are in {printable(str(out / TASKS))}")


def _say_rows(corpus: "Corpus", parts: "Split", *, limited: bool, shows_classes: bool) -> None:
    from text_uda.data.row_counts import describe_counts, describe_unused

    why = f" ({describe_unused(corpus)})" if len(corpus.unused) else ""
    click.echo(f"{describe_counts(corpus, parts, limited=limited)}{why}")
    click.echo(
        f"{printable(parts.name)}, {len(parts.classes)} classes:"
        f" {len(parts.labeled.texts):,} labeled, {len(parts.unlabeled):,} unlabeled,"
        f" {len(parts.dev.texts):,} dev, {len(parts.test.texts):,} test texts"
    )
    if shows_classes:
        counts = zip(parts.classes, parts.labels_per_class, strict=True)
        click.echo(printable(f"labeled: {listed([f'{name:.40} {count:,}' for name, count in counts], most=200)}"))


def _filters(settings: dict[str, Any], method: str) -> "Filters | None":
    """The filters that judge the paraphrases of the cache again, or None to keep their status."""
    if not settings:
        return None
    if method == "none":
        name = next(iter(settings)).replace("_", "-")
        raise SettingsError(f"--{name} selects paraphrases; give --augment METHOD, or leave it out")
    from text_uda.paraphrasing.filters import Filters

    return Filters(**settings)


def _check_baseline_reads(training: dict[str, Any], objective: str | None) -> None:
    """Raise SettingsError for an option of the training step: a baseline is fitted without steps."""
    from text_uda.runs.decisive_settings import BASELINE_SETTINGS

    if unread := training.keys() - set(BASELINE_SETTINGS):
        name = min(unread).replace("_", "-")
        raise SettingsError(f"--objective {objective} is fitted without training steps and ignores --{name}; omit it")


def _check_is_read(
    preset: "Preset", name: str, training: dict[str, Any], data: DataChoice, unlabeled_texts: int | None
) -> None:
    """Raise SettingsError for an option that the method ignores; warn where it still decides which runs compare."""
    from text_uda.objectives import all_needs
    from text_uda.objectives.weight_averaging import FastSWA

    if "schedule" in training and isinstance(preset.averaging, FastSWA):
        raise SettingsError(f"--objective {name} has its own learning rate cycles and ignores --schedule; omit it")
    if all_needs(preset.objectives).unlabeled_rows:
        return
    if "unlabeled_ratio" in training:
        raise SettingsError(f"--objective {name} reads no unlabeled texts and ignores --unlabeled-ratio; omit it")
    options = ["--unlabeled"] * bool(data.unlabeled) + ["--unlabeled-texts"] * (unlabeled_texts is not None)
    if options and is_main_process():
        log.warning(
            "--objective %s reads no unlabeled texts: %s %s no result, but the run compares with those "
            "on the same texts",
            name,
            " and ".join(options),
            "change" if len(options) > 1 else "changes",
        )


def _without_rows(result: dict[str, Any]) -> dict[str, Any]:
    """The result without test_correct, which encodes every test row, and without the digests of the model."""
    shown = {name: value for name, value in result.items() if name not in ("test_correct", "model_files")}
    return shown | {"refit": _without_rows(result["refit"])} if "refit" in result else shown


def _say(result: dict[str, Any], out: Path) -> None:
    if choice := result.get("choice"):
        figures = ", ".join(f"{mode} {figure:.2f}%" for mode, figure in choice["figures"].items())
        click.echo(f"the {choice['by'].replace('_', ' ')} picks {choice['picked']}: {figures}")
    last = _figures(result, "last", "steps", "last_")
    if result.get("selected_by") == "last":
        click.echo(last + _calibrated(result))
    else:
        by = f"dev {result['selected_by']} of {result['dev_rows']:,} texts" if "dev_rows" in result else "dev"
        click.echo(_figures(result, f"selected by {by}", "best_step") + _calibrated(result))
        click.echo(last)
    if modes := result.get("modes"):
        click.echo(
            f"test error with the columns of other rows {modes['columns_shuffled']:.2f}%, with the texts of other rows"
            f" {modes['text_shuffled']:.2f}%"
        )
    if coverage := result["augmentation"]:
        click.echo(
            f"{coverage['method']}: {coverage['usable']:.1%} of the texts have a usable paraphrase,"
            f" {coverage['change_rate']:.1%} of their words are changed"
        )
    if result.get("changed") is not None:
        click.echo(f"the augmentation in the training step changes {result['changed']:.1%} of the tokens or embeddings")
    click.echo(f"the run is in {printable(str(out))}, the model in {printable(str(out / 'model'))}")
    if refit := result.get("refit"):
        click.echo(
            f"the model for use, trained on all labels, is in {printable(str(out / REFIT / 'model'))}: test error"
            f" {refit['test_error']:.2f}%, not used for selection"
        )


def _figures(result: dict[str, Any], words: str, step: str, prefix: str = "") -> str:
    """A line of figures. Runs of earlier versions have only the errors."""
    dev = f"{words} (step {result[step]:,}): dev error {result[f'{prefix}dev_error']:.2f}%"
    names = {"error": "test error", "balanced_error": "balanced error", "macro_f1": "macro-F1"}
    known = {name: result[f"{prefix}test_{name}"] for name in names if f"{prefix}test_{name}" in result}
    return ", ".join([dev, *(f"{names[name]} {value:.2f}%" for name, value in known.items())])


def _calibrated(result: dict[str, Any]) -> str:
    calibration = result.get("calibration")  # missing in runs of earlier versions
    return f", calibration error {calibration['error']:.1f}%" if calibration else ""
