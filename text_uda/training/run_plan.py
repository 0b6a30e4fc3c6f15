"""What a call asks of a task: its arguments, checked before an encoder is loaded, and the content of config.json."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from accelerate import Accelerator, DistributedDataParallelKwargs

from text_uda import distributed
from text_uda.data import Split
from text_uda.errors import SettingsError, listed
from text_uda.fusion import Choose, ColumnsAlone, Fusion, Late, TextAlone
from text_uda.model.encoder_content import encoder_digest
from text_uda.objectives import Method, Needs, all_needs, baseline_of, check_together, in_use, losses, method_name
from text_uda.objectives.weight_averaging import EMA, Averaging, FastSWA
from text_uda.paraphrasing.filters import Filters
from text_uda.runs.decisive_settings import BASELINE_SETTINGS
from text_uda.runs.directory import RunDirectory
from text_uda.runs.provenance import code_versions
from text_uda.training.in_step_augmentation import InStep, kind_of
from text_uda.training.settings import TrainSettings
from text_uda.training.skewed_labels import balanced_prior
from text_uda.training.trackers import Tracker
from text_uda.training.unlabeled_views import Views, find_views
from translation_cache import Cache, Job, digest

log = logging.getLogger("text_uda")


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """The objectives of a task and the rows that they read."""

    method: str
    """In reports."""
    objectives: Sequence[Method]
    averaging: Averaging | None
    views: Views | None
    augmentation: Job | InStep | None
    """None where no objective uses it."""
    cache: Cache | None
    filters: Filters | None
    fusion: Fusion | TextAlone | None = None
    """None for texts without other columns."""

    @property
    def joining(self) -> Fusion | None:
        """The fusion, where the model reads the columns."""
        return None if isinstance(self.fusion, TextAlone) else self.fusion

    def config(
        self,
        split: Split,
        settings: TrainSettings,
        *,
        name: str,
        steps: int,
        method: str | None = None,
        more: Mapping[str, Any] | None = None,
        command: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The content of config.json, except for the machine.

        Args:
            method: another name of the method in reports.
            more: further entries, which decide the result.
            command: the options of the command.
        """
        used, cache, averaging = self.augmentation, self.cache, self.averaging
        all_settings = asdict(settings)
        is_baseline = baseline_of(self.objectives) is not None
        return {
            "name": name,
            "method": self.method if method is None else method,
            **(more or {}),
            "data": {
                "name": split.name,
                "classes": list(split.classes),
                "digest": split.digest,
                "test_digest": split.test_digest,
                "unlabeled": len(split.unlabeled),
                **_pool_record(split),
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
            "encoder_digest": encoder_digest(settings.encoder),
            "objectives": [{"objective": type(o).__name__} | asdict(o) for o in self.objectives],  # pyright: ignore[reportArgumentType]
            "averaging": averaging and {"averaging": type(averaging).__name__} | asdict(averaging),
            "augmentation": None if used is None else used.settings(),
            "cache_digest": digest(cache, used.settings()) if used is not None and cache is not None else None,
            "filters": self.filters.settings() if used is not None and self.filters is not None else None,
            "settings": {name: all_settings[name] for name in BASELINE_SETTINGS} if is_baseline else all_settings,
            **({"in_step": kind_of(used)} if used is not None and cache is None else {}),
            **({} if self.fusion is None else {"fusion": fusion_record(self.fusion, split)}),
            **({} if command is None else {"command": dict(command)}),
            **code_versions(),
        }


def plan_run(
    split: Split,
    objectives: Sequence[Method],
    averaging: Averaging | None,
    augmentation: Job | InStep | None,
    cache: Cache | None,
    filters: Filters | None,
    settings: TrainSettings,
    fusion: Fusion | TextAlone | None = None,
) -> RunPlan:
    """Check the objectives of a task and find its unlabeled rows.

    Args:
        averaging: see `chosen_averaging`.
    Raises:
        SettingsError: they contradict each other, or need an augmentation or unlabeled texts that are missing.
    """
    if distributed.is_main() and (warning := balanced_prior(split, losses(objectives))) is not None:
        log.warning(warning)
    check_fusion(fusion, split, objectives)
    if averaging is not None and (baseline := baseline_of(objectives)) is not None:
        raise SettingsError(f"{type(baseline).__name__} takes no step, so no weights can be averaged: omit averaging")
    if isinstance(fusion, ColumnsAlone | Late) and baseline_of(objectives) is not None:
        fusion = replace(fusion, hidden=None)
    drops = getattr(fusion, "column_dropout", 0.0) > 0
    views = find_views(split, needs_of(objectives), augmentation, cache, filters, settings, drops_columns=drops)
    method = method_name(objectives, averaging, views and views.method)
    return RunPlan(
        method=method if fusion is None or isinstance(fusion, TextAlone) else f"{method}, {words_of(fusion)}",
        fusion=fusion,
        objectives=objectives,
        averaging=averaging,
        views=views,
        augmentation=augmentation if views is not None and views.method is not None else None,
        cache=cache,
        filters=filters,
    )


def check_fusion(fusion: Fusion | TextAlone | Choose | None, split: Split, objectives: Sequence[Method]) -> None:
    """Raise SettingsError where the rows have columns and nothing says what to do with them, or the other way round."""
    if fusion is None and split.columns:
        raise SettingsError(
            f"the rows of {split.name} have the columns {listed(split.columns.names)} beside the text: say how they"
            " join it (--fusion early, intermediate or late; fusion=Early() and the like), or leave them unread"
            " (--fusion text; fusion=TextAlone())"
        )
    if fusion is not None and not split.columns:
        raise SettingsError(
            f"fusion={fusion.name}: the rows of {split.name} have no columns beside the text; name some (--numeric,"
            " --categorical, --vector), or leave the fusion out"
        )
    baseline = baseline_of(objectives)
    if baseline is not None and fusion is not None and not isinstance(fusion, TextAlone | ColumnsAlone | Late):
        raise SettingsError(
            f"{type(baseline).__name__} is a linear function of text and columns: give the fusion late (of both), text"
            " or columns (Late(), TextAlone(), ColumnsAlone()), or an objective that takes steps, such as supervised"
        )
    if baseline is not None and isinstance(fusion, ColumnsAlone | Late):
        for name in ("column_dropout", "learning_rate"):
            if getattr(fusion, name) != getattr(type(fusion), name):
                raise SettingsError(
                    f"{type(baseline).__name__} is fitted without training steps and ignores {name} of the fusion"
                    f" (--{'column-dropout' if name == 'column_dropout' else 'fusion-learning-rate'}); omit it"
                )


def check_can_pick(split: Split) -> None:
    """Raise SettingsError where there is no development row to pick a mode of `Choose` by."""
    if not len(split.dev):
        raise SettingsError(
            f"the development rows pick the mode, and {split.name} has none: draw some (--dev N), or give one mode"
        )


def _pool_record(split: Split) -> dict[str, int]:
    """What of the unlabeled rows is the same for each seed; only with columns, where their number is not."""
    pool = {"most_unlabeled": split.most_unlabeled, "training_texts": split.training_texts}
    return {name: number for name, number in pool.items() if number is not None and split.columns}


def fusion_record(fusion: Fusion | TextAlone | Choose, split: Split) -> dict[str, Any]:
    return {"fusion": fusion.name} | asdict(fusion) | {"columns": split.columns.record()}  # pyright: ignore[reportArgumentType]


def words_of(fusion: Fusion | Choose) -> str:
    """For the name of a method in reports."""
    return {"columns": "columns alone", "choose": "chosen mode"}.get(fusion.name, f"{fusion.name} fusion")


def needs_of(objectives: Sequence[Method]) -> Needs:
    """Everything that the objectives of a task need.

    Raises:
        SettingsError: they do not work together.
    """
    check_together(objectives)
    return all_needs(in_use(losses(objectives)).values())


def chosen_averaging(averaging: Averaging | None, *, teacher: bool) -> Averaging | None:
    """The average of the weights: the one of the call, or EMA where an objective needs a teacher.

    Raises:
        SettingsError: it is none, or the teacher needs another one.
    """
    if averaging is not None and not isinstance(averaging, EMA | FastSWA):
        raise SettingsError(f"averaging={averaging!r}: choose EMA(), FastSWA() or None")
    if teacher and isinstance(averaging, FastSWA):
        raise SettingsError("a teacher is a moving average of the weights: set averaging=EMA(), or omit averaging")
    return averaging or (EMA() if teacher else None)


def accelerator_of(
    directory: RunDirectory, track: Sequence[Tracker], *, trains_all_weights: bool = True
) -> Accelerator:
    """
    Args:
        trains_all_weights: whether each step has a gradient for every trained weight.
    """
    return Accelerator(
        mixed_precision="no",  # `FineTuning` casts: accelerate allows one precision a process
        kwargs_handlers=[
            DistributedDataParallelKwargs(
                broadcast_buffers=False,  # buffers are equal everywhere
                find_unused_parameters=not trains_all_weights,
            )
        ],
        log_with=list(track) or None,
        project_dir=str(directory.path),
    )
