"""`train`: what a run is asked for is checked and written down, then it is run."""

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from accelerate import Accelerator, DistributedDataParallelKwargs

from text_uda import distributed
from text_uda.data import Split
from text_uda.data.splitting import all_labels
from text_uda.errors import SettingsError
from text_uda.model.frozen_encoder import FrozenEncoder
from text_uda.model.precision import ResolvedPrecision
from text_uda.model.pretrained import gets_linear_head, hidden_width
from text_uda.objectives import (
    PRESETS,
    Method,
    all_needs,
    baseline_of,
    check_together,
    in_use,
    losses,
    method_name,
)
from text_uda.objectives.weight_averaging import EMA, Averaging, FastSWA
from text_uda.paraphrasing.fill_and_read import Location
from text_uda.paraphrasing.filters import Filters
from text_uda.runs.directory import REFIT, RunDirectory
from text_uda.runs.provenance import machine, provenance
from text_uda.training.batches import check_parts
from text_uda.training.fit_baseline import DECISIVE, Fitting
from text_uda.training.in_step_augmentation import InStep, kind_of
from text_uda.training.loop import Training
from text_uda.training.non_finite import DivergedError
from text_uda.training.settings import TrainSettings
from text_uda.training.skewed_labels import balanced_prior
from text_uda.training.stopping import Stop
from text_uda.training.trackers import Tracker, check_trackers
from text_uda.training.unlabeled_views import Views, find_views
from translation_cache import Cache, Job, digest

log = logging.getLogger("text_uda")

__all__ = ["DivergedError", "TrainSettings", "train"]


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
) -> dict[str, Any]:
    """Train a classifier on a split and write the run directory `out`.

    A run that was stopped goes on from its last checkpoint; a finished one is only read. Under `accelerate launch` each
    process calls this, with a folder that all of them see: they share each batch, and come to what one process would.

    Args:
        split: labeled, unlabeled, development and test rows.
        objectives: their losses are added. `PRESETS["mean-teacher"].objectives` and so on are those of the papers.
            A baseline stands alone, `(LogisticRegression(),)`; it takes no step, and no augmentation. The default is
            `PRESETS["uda"]`, safe where predictions are uncertain; `(Supervised(), UDA())` is the paper's plain loss.
        averaging: what is evaluated and kept is this average of the weights; None for the weights themselves.
            Objectives that need a teacher get `EMA()` where nothing is said.
        augmentation: makes the second view of the unlabeled texts: what made the paraphrases, or, without a cache, one
            that works in the training step, anew each time (Cutoff, SwitchOut). Some objectives can do without one:
            their second view is the same text with another dropout.
        cache: where the paraphrases lie (see `paraphrase`).
        filters: judge anew which of them are usable; None takes what was judged when they were made.
        settings: of the trainer.
        out: the run directory.
        name: of the run in reports.
        resume: False starts anew and discards what a run left in `out`.
        max_minutes: stop after so long, with a checkpoint from which the same call goes on.
        track: also send the metrics to these: tensorboard (into `out`), trackio, wandb.
        frozen: an encoder shared between runs with tune="head" and baselines, so that each text is encoded once; a run
            whose settings make other features takes its own.
        refit: when the run is finished, train a second one for use on every label, in `out`/refit: the development rows
            are labeled rows there. It has the same settings and seed, takes the steps that chose here (`best_step`) at
            the same learning rates, and its last weights. Priors and class weights go by the shares of the classes
            among the labeled rows here: development rows may be drawn in other shares. Nothing chose the weights:
            their dev_error is None.
    Returns:
        what result.json holds: dev_error, test_error (of the chosen weights), last_dev_error, last_test_error, and for
        each of these _macro_f1 and _balanced_error (percent; see `class_scores`); selected_by, dev_rows (how many
        development rows chose), best_step, steps; seconds and cpu_seconds (of the steps, over all stops; encoding is
        not counted); augmentation, warnings; per_class (of dev, test, last_dev and last_test: precision, recall, f1 and
        support of each class); of the chosen weights on the test rows also confusion, calibration (see `calibration`)
        and test_correct (see `answers.packed`); baseline, the dev error of logistic regression on the labels, beside a
        run that reads unlabeled texts. With `refit` also refit: what `out`/refit/result.json holds.
    Raises:
        SettingsError: settings that do not go together, a folder that holds another run, or a refit without
            development rows, whose labels it is to add.
        DivergedError: the loss is not finite.
        Interrupted: by SIGINT or SIGTERM, or when the time is over, after a checkpoint.
    """
    settings = settings or TrainSettings()
    stop = Stop(max_minutes)
    every_label = all_labels(split) if refit else None
    check_trackers(track)
    cache = cache if cache is None or isinstance(cache, Cache) else Cache(cache)
    check_together(objectives)
    baseline = baseline_of(objectives)
    if baseline is not None and averaging is not None:
        raise SettingsError(
            f"{type(baseline).__name__} takes no step, so there is nothing to average: leave out averaging"
        )
    needs = all_needs(in_use(losses(objectives)).values())
    if averaging is not None and not isinstance(averaging, EMA | FastSWA):
        raise SettingsError(f"averaging is EMA(), FastSWA() or None; this is {averaging!r}")
    if needs.teacher and isinstance(averaging, FastSWA):
        raise SettingsError("a teacher is a moving average of the weights: give averaging=EMA(), or leave it out")
    averaging = averaging or (EMA() if needs.teacher else None)
    if distributed.is_main() and (words := balanced_prior(split, losses(objectives))) is not None:
        log.warning(words)
    views = find_views(split, needs, augmentation, cache, filters, settings)
    method = method_name(objectives, averaging, views and views.method)
    run = _Run(
        method=method,
        objectives=objectives,
        averaging=averaging,
        views=views,
        augmentation=augmentation if views is not None and views.method is not None else None,
        cache=cache,
        filters=filters,
        settings=settings,
        name=name or f"{method} seed {settings.seed}",
        resume=resume,
        stop=stop,
        track=track,
        frozen=frozen,
    )
    result = run.on(split, Path(out))
    if every_label is None:
        return result
    refit_of = {"digest": split.digest, "steps": result["best_step"], "label_share": split.label_share}
    return result | {"refit": run.on(every_label, Path(out) / REFIT, refit_of=refit_of)}


@dataclass(frozen=True, kw_only=True)
class _Run:
    """What a run and its refit have in common: the arguments of `train`."""

    method: str
    objectives: Sequence[Method]
    averaging: Averaging | None
    views: Views | None
    augmentation: Job | InStep | None
    """None where it is not used."""
    cache: Cache | None
    filters: Filters | None
    settings: TrainSettings
    name: str
    resume: bool
    stop: Stop
    track: Sequence[Tracker]
    frozen: FrozenEncoder | None

    def on(self, split: Split, out: Path, *, refit_of: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Run it, or go on, in the folder `out`; what result.json holds.

        Args:
            refit_of: of the run that chose, the digest and the label share of its split, and after how many steps;
                `out` lies in its folder.
        """
        objectives, averaging, settings, track = self.objectives, self.averaging, self.settings, self.track
        used, cache, baseline, directory = self.augmentation, self.cache, baseline_of(objectives), RunDirectory(out)
        accelerator = Accelerator(
            mixed_precision="no",  # `Training` casts: accelerate has one choice a process
            kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)],  # they are the same everywhere
            log_with=list(track) or None,
            project_dir=str(directory.path),
        )
        distributed.check(accelerator)
        check_parts(settings)
        method = self.method if refit_of is None else f"{self.method}, refit"
        if self.resume and baseline is None:
            directory.check_head(tune=settings.tune, linear=lambda: gets_linear_head(settings.encoder))
        width = hidden_width(settings.encoder)
        begun, resume = (directory, self.resume) if refit_of is None else (RunDirectory(out.parent), True)
        numbers: ResolvedPrecision = distributed.on_main(
            lambda: begun.numbers(settings.precision, width, resume=resume)
        )
        decisive = asdict(settings)
        steps = settings.steps if refit_of is None else int(refit_of["steps"])
        if baseline is not None:
            steps = 0
            decisive = {setting: decisive[setting] for setting in DECISIVE}
        config = {
            "name": self.name if refit_of is None else f"{self.name}, refit",
            "method": method,
            **({} if refit_of is None else {"refit_of": dict(refit_of)}),
            "data": {
                "name": split.name,
                "classes": list(split.classes),
                "digest": split.digest,
                "test_digest": split.test_digest,
                "unlabeled": len(split.unlabeled),
                "labeled": len(split.labeled),
                "labels_per_class": split.labels_per_class,
                "label_sampling": split.label_sampling,
                "dev": len(split.dev),
                "test": len(split.test),
            },
            "labels": len(split.labeled.texts),
            "seed": settings.seed,
            "steps": steps,
            "tune": settings.tune,
            "encoder": settings.encoder,
            "objectives": [{"objective": type(o).__name__} | asdict(o) for o in objectives],  # pyright: ignore[reportArgumentType]
            "averaging": averaging and {"averaging": type(averaging).__name__} | asdict(averaging),
            "augmentation": None if used is None else used.settings(),
            "cache_digest": digest(cache, used.settings()) if used is not None and cache is not None else None,
            "filters": asdict(self.filters) if used is not None and self.filters is not None else None,
            "settings": decisive,
            **({"in_step": kind_of(used)} if used is not None and cache is None else {}),
            **provenance(),
            "machine": machine(accelerator, numbers),
        }
        began = distributed.on_main(lambda: directory.open(config, resume=self.resume))
        if (finished := directory.result()) is not None:
            return finished
        decided = replace(settings, precision=numbers)
        try:
            training = (
                Training(
                    split,
                    losses(objectives),
                    averaging,
                    self.views,
                    decided,
                    directory,
                    accelerator,
                    self.frozen,
                    steps=steps,
                    label_share=None if refit_of is None else refit_of["label_share"],
                )
                if baseline is None
                else Fitting(split, baseline, decided, directory, accelerator, self.frozen)
            )
        except SettingsError:
            accelerator.wait_for_everyone()  # no process is to write into what goes
            if began and distributed.is_main():  # so that the mended call finds no run with other settings in its way
                shutil.rmtree(directory.path)
            raise
        if track:
            accelerator.init_trackers("text_uda", config={"run": config["name"], "method": method, **asdict(settings)})
        try:
            return training.run(self.stop)
        finally:
            for tracker in accelerator.trackers if track else ():
                tracker.finish()
