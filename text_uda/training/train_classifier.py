"""`train`: checks the arguments, writes the configuration, and fine-tunes a classifier or fits a baseline."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from text_uda import distributed
from text_uda.data import Split
from text_uda.data.splitting import all_labels
from text_uda.errors import SettingsError
from text_uda.fusion import Choose, Fusion, TextAlone
from text_uda.fusion.choose import pick
from text_uda.model.frozen_encoder import FrozenEncoder
from text_uda.model.precision import ResolvedPrecision
from text_uda.model.pretrained import check_tune, gets_linear_head, hidden_width
from text_uda.objectives import PRESETS, Method, Supervised, baseline_of, losses
from text_uda.objectives.weight_averaging import Averaging
from text_uda.paraphrasing.cache_access import Location
from text_uda.paraphrasing.filters import Filters
from text_uda.runs.directory import REFIT, RunDirectory
from text_uda.runs.provenance import machine
from text_uda.runs.run_files import modes_beside, paths_in
from text_uda.runs.run_lock import claimed
from text_uda.training.batches import check_divisible
from text_uda.training.classifier_task import ClassifierTask, check_modes, load_pretrained
from text_uda.training.fine_tuning import FineTuning
from text_uda.training.fit_baseline import BaselineFit
from text_uda.training.in_step_augmentation import InStep
from text_uda.training.loop import train_loop
from text_uda.training.non_finite import NonFiniteError
from text_uda.training.run_plan import (
    RunPlan,
    accelerator_of,
    check_can_pick,
    check_fusion,
    chosen_averaging,
    fusion_record,
    needs_of,
    plan_run,
    words_of,
)
from text_uda.training.settings import TrainSettings
from text_uda.training.stop_signals import StopRequest
from text_uda.training.trackers import Tracker, check_trackers, tracking
from translation_cache import Cache, Job

__all__ = ["NonFiniteError", "TrainSettings", "train"]


def train(
    split: Split,
    *,
    objectives: Sequence[Method] = PRESETS["uda"].objectives,
    averaging: Averaging | None = None,
    augmentation: Job | InStep | None = None,
    cache: Cache | Location | None = None,
    filters: Filters | None = None,
    settings: TrainSettings | None = None,
    out: str | Path,
    name: str | None = None,
    resume: bool = True,
    max_minutes: float | None = None,
    track: Sequence[Tracker] = (),
    frozen: FrozenEncoder | None = None,
    refit: bool = False,
    fusion: Fusion | TextAlone | Choose | None = None,
    command: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Train a classifier on a split and write the run directory `out`.

    An interrupted run resumes from its last checkpoint; a finished run is read, not repeated. Under `accelerate launch`
    each process makes this call with the same folder on a shared disk: the processes share each batch, and compute what
    one process would.

    Args:
        split: labeled, unlabeled, development and test rows.
        objectives: their losses are added. `PRESETS["mean-teacher"].objectives` and the like are those of the papers. A
            baseline is passed alone, `(LogisticRegression(),)`; it takes no step and no augmentation. The default is
            `PRESETS["uda"]`, which ignores uncertain predictions; `(Supervised(), UDA())` is the loss of the paper.
        averaging: evaluate and keep this average of the weights; None for the weights themselves. Objectives that need
            a teacher get `EMA()` by default.
        augmentation: makes the second view of the unlabeled texts: the method that filled the cache or, without a
            cache, one that works in the training step with new draws at each visit (Cutoff, SwitchOut). Some objectives
            do not need one: their second view is the same text with other dropout.
        cache: location of the paraphrases (see `paraphrase`).
        filters: decide which paraphrases are usable; None keeps the decisions from when they were generated.
        settings: of the trainer.
        out: the run directory.
        name: of the run in reports.
        resume: False starts again and discards what an earlier run left in `out`.
        max_minutes: stop after this time with a checkpoint; the same call resumes from it.
        track: also send the metrics to these: tensorboard (into `out`), trackio, wandb.
        frozen: an encoder shared between runs with tune="head" and baselines, so that each text is encoded once; a run
            whose settings give other features uses another encoder.
        refit: after the run, train a second one on every label for use, in `out`/refit: the development rows become
            labeled rows. It has the same settings, seed and learning rates, takes `best_step` steps, and keeps its last
            weights. Priors and class weights use the class shares of the labeled rows of the first run, because
            development rows may be drawn in other shares. Its dev_error is None: no row is left to choose weights.
        fusion: of rows with other columns (see `load`): `Early()`, `Intermediate()` or `Late()` joins them with the
            text, and `ColumnsAlone()` and `TextAlone()` read one of the two. Scalers and vocabularies are fitted on the
            labeled and unlabeled rows of the split. Both views of an unlabeled row share its columns. `Choose()` trains
            each mode in `out`-modes/NAME, the columns with the supervised loss, and then the one that the development
            rows pick in `out`; a mode that is finished is read.
        command: for config.json: the options of `text-uda train`, by which `--config` runs it again.
    Returns:
        the content of result.json: dev_error, test_error (of the chosen weights), last_dev_error, last_test_error, and
        for each of these _macro_f1 and _balanced_error (percent; see `class_scores`); selected_by, dev_rows (number of
        development rows), best_step, steps; seconds and cpu_seconds (of the steps, summed over interruptions, without
        encoding); augmentation, warnings; per_class (of dev, test, last_dev and last_test: precision, recall, f1 and
        support of each class); of the chosen weights on the test rows also confusion, calibration (see
        `calibration_error`) and test_correct (see `kept_predictions.packed`); baseline, the dev error of logistic
        regression on the labels, for a run that reads unlabeled texts; model_files, the SHA-256 of each file of the
        model. With `refit` also refit: the content of `out`/refit/result.json. With
        `Choose()` also choice: picked (the mode), by (the figure), figures (of each mode).
    Raises:
        SettingsError: settings that contradict each other, a folder that holds another run or other files or in which
            another process writes, a finished run whose model is damaged, or a refit without development rows, whose
            labels it adds.
        NonFiniteError: the loss is not finite.
        Interrupted: by SIGINT or SIGTERM, or at the time limit, after a checkpoint.
    """
    settings = TrainSettings() if settings is None else settings
    shared: dict[str, Any] = {"cache": cache, "filters": filters, "settings": settings, "resume": resume}
    shared |= {"stop": StopRequest(max_minutes), "track": track, "frozen": frozen}
    of_run: dict[str, Any] = {"name": name, "refit": refit, "command": command}
    method: dict[str, Any] = {"objectives": objectives, "averaging": averaging, "augmentation": augmentation}
    if not isinstance(fusion, Choose):
        return _train_mode(split, fusion, out=Path(out), **method, **shared, **of_run)
    check_fusion(fusion, split, objectives)
    check_can_pick(split)
    supervised: dict[str, Any] = {"objectives": (Supervised(),), "averaging": None, "augmentation": None}
    folder = modes_beside(Path(out))
    modes = {mode.name: (mode, supervised if mode.name == "columns" else method) for mode in fusion.candidates()}
    if not all((folder / name / "result.json").exists() for name in modes):
        check_modes(split, [mode for mode, _ in modes.values() if not isinstance(mode, TextAlone)], settings)
    results = {
        name: _train_mode(split, mode, out=folder / name, **its_method, **shared)
        for name, (mode, its_method) in modes.items()
    }
    picked = pick(results, settings.select_by)
    choice = _Choice(picked, fusion, RunDirectory(folder / "text").config(), split)
    mode, its_method = modes[picked["picked"]]
    return _train_mode(split, mode, out=Path(out), **its_method, **shared, **of_run, choice=choice)


@dataclass(frozen=True)
class _Choice:
    """The pick of `Choose`, and what the run is called: by its seed another mode can be picked."""

    picked: Mapping[str, Any]
    """For result.json."""
    fusion: Choose
    text: Mapping[str, Any]
    """The configuration of the run of the text, whose method all modes share."""
    split: Split

    @property
    def method(self) -> str:
        return f"{self.text['method']}, {words_of(self.fusion)}"

    def record(self) -> dict[str, Any]:
        """For config.json: the method, whichever mode is picked."""
        method = ("objectives", "averaging", "augmentation", "filters", "in_step")
        shared = {name: self.text[name] for name in method if name in self.text}
        return {"choose": shared | {"fusion": fusion_record(self.fusion, self.split)}}


def _train_mode(
    split: Split,
    fusion: Fusion | TextAlone | None,
    *,
    objectives: Sequence[Method],
    averaging: Averaging | None,
    augmentation: Job | InStep | None,
    cache: Cache | Location | None,
    filters: Filters | None,
    settings: TrainSettings,
    out: Path,
    name: str | None = None,
    resume: bool,
    stop: StopRequest,
    track: Sequence[Tracker],
    frozen: FrozenEncoder | None,
    refit: bool = False,
    command: Mapping[str, Any] | None = None,
    choice: _Choice | None = None,
) -> dict[str, Any]:
    """`train` with one way to join columns.

    Args:
        stop: one for all modes, so that a time limit is that of the whole call.
        choice: why it is this one.
    """
    every_label = all_labels(split) if refit else None
    check_trackers(track)
    cache = cache if cache is None or isinstance(cache, Cache) else Cache(cache)
    averaging = chosen_averaging(averaging, teacher=needs_of(objectives).teacher)
    plan = plan_run(split, objectives, averaging, augmentation, cache, filters, settings, fusion)
    run = _Run(
        plan=plan,
        settings=settings,
        name=name or f"{plan.method if choice is None else choice.method} seed {settings.seed}",
        resume=resume,
        stop=stop,
        track=track,
        frozen=frozen,
        command=command,
        choice=choice,
    )
    with ExitStack() as locks:  # the run stays locked while its refit is trained in it
        result = run.on(split, Path(out), locks)
        if every_label is None:
            return result
        refit_of = {"digest": split.digest, "steps": result["best_step"], "label_share": split.label_share}
        return result | {"refit": run.on(every_label, Path(out) / REFIT, locks, refit_of=refit_of)}


@dataclass(frozen=True, kw_only=True)
class _Run:
    """The arguments of `train` that a run and its refit share."""

    plan: RunPlan
    settings: TrainSettings
    name: str
    resume: bool
    stop: StopRequest
    track: Sequence[Tracker]
    frozen: FrozenEncoder | None
    command: Mapping[str, Any] | None
    choice: _Choice | None

    @property
    def method(self) -> str:
        return self.plan.method if self.choice is None else self.choice.method

    def on(
        self, split: Split, out: Path, locks: ExitStack, *, refit_of: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Start or resume the run in the folder `out`; returns the content of result.json.

        Args:
            locks: takes the lock of the folder.
            refit_of: for a refit, the split digest, the label shares and the best step of the first run, whose folder
                contains `out`.
        """
        plan, settings, track = self.plan, self.settings, self.track
        baseline, directory = baseline_of(plan.objectives), RunDirectory(out)
        accelerator = accelerator_of(directory, track)
        distributed.check(accelerator)
        check_divisible(settings)
        if self.resume and baseline is None:
            directory.check_head(tune=settings.tune, linear=lambda: gets_linear_head(settings.encoder))
        check_tune(settings.encoder, settings.tune)
        width = hidden_width(settings.encoder)
        first, resume = (directory, self.resume) if refit_of is None else (RunDirectory(out.parent), True)
        precision: ResolvedPrecision = distributed.on_main(
            lambda: first.resolved_precision(settings.precision, width, resume=resume)
        )
        steps = settings.steps if refit_of is None else int(refit_of["steps"])
        if baseline is not None:
            steps = 0
        config = self._config(split, steps, refit_of) | {"machine": machine(accelerator, precision)}
        inputs = paths_in([settings.encoder, config["augmentation"], str(plan.cache), self.command])
        is_new = locks.enter_context(claimed(directory, config, resume=self.resume, inputs=inputs))
        if (finished := directory.result()) is not None:
            return finished
        resolved = replace(settings, precision=precision)
        try:
            run = (
                self._fine_tuning(split, resolved, directory, accelerator, steps, refit_of)
                if baseline is None
                else BaselineFit(split, baseline, resolved, directory, accelerator, self.frozen, self.plan.joining)
            )
        except SettingsError:
            accelerator.wait_for_everyone()  # no process may still write into the folder
            if is_new and distributed.is_main():
                directory.discard()
            raise
        with tracking(accelerator, track, config, settings):
            return run.run() if isinstance(run, BaselineFit) else train_loop(run, self.stop)

    def _fine_tuning(
        self,
        split: Split,
        settings: TrainSettings,
        directory: RunDirectory,
        accelerator: Accelerator,
        steps: int,
        refit_of: Mapping[str, Any] | None,
    ) -> FineTuning:
        task = ClassifierTask(
            split,
            losses(self.plan.objectives),
            self.plan.views,
            settings,
            directory,
            accelerator.device,
            load_pretrained(split.classes, settings),
            frozen=self.frozen,
            fusion=self.plan.joining,
            choice=None if self.choice is None else self.choice.picked,
            label_share=None if refit_of is None else refit_of["label_share"],
        )
        return FineTuning(task, self.plan.averaging, settings, directory, accelerator, steps=steps)

    def _config(self, split: Split, steps: int, refit_of: Mapping[str, Any] | None) -> dict[str, Any]:
        """The content of config.json, except for the machine."""
        words = "" if refit_of is None else ", refit"
        return self.plan.config(
            split,
            self.settings,
            name=self.name + words,
            steps=steps,
            method=self.method + words,
            more={
                **({} if refit_of is None else {"refit_of": dict(refit_of)}),
                **({} if self.choice is None else self.choice.record()),
            },
            command=self.command,
        )
