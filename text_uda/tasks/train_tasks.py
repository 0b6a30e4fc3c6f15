"""`train_tasks`: checks the arguments, writes the configuration, and fine-tunes an encoder for several tasks."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from accelerate import Accelerator

from text_uda import distributed
from text_uda.data import Split
from text_uda.errors import SettingsError, named
from text_uda.keyed_random import keyed_seed
from text_uda.model.frozen_encoder import FrozenEncoder
from text_uda.model.precision import ResolvedPrecision
from text_uda.model.pretrained import check_tune, hidden_width
from text_uda.objectives import PRESETS, Method, losses
from text_uda.objectives.baseline import Baseline
from text_uda.objectives.weight_averaging import Averaging
from text_uda.paraphrasing.cache_access import Location
from text_uda.paraphrasing.filters import Filters
from text_uda.runs.directory import RunDirectory
from text_uda.runs.provenance import code_versions, machine
from text_uda.runs.run_files import paths_in
from text_uda.runs.run_lock import claimed
from text_uda.tasks.joint import Joint
from text_uda.tasks.method import TaskMethod
from text_uda.tasks.pooled_fit import PooledFit
from text_uda.tasks.shared_encoder import SharedEncoder
from text_uda.tasks.shared_tasks import SharedTasks
from text_uda.tasks.task_checks import (
    check_development,
    check_names,
    check_same_classes,
    check_split,
    class_warnings,
    nothing_shared_warning,
    overlap_warnings,
    shared_baseline,
)
from text_uda.training.batches import check_divisible
from text_uda.training.classifier_task import ClassifierTask, load_pretrained
from text_uda.training.fine_tuning import FineTuning
from text_uda.training.fit_baseline import BaselineFit
from text_uda.training.in_step_augmentation import InStep
from text_uda.training.loop import train_loop
from text_uda.training.run_plan import RunPlan, accelerator_of, chosen_averaging, needs_of, plan_run
from text_uda.training.settings import TrainSettings
from text_uda.training.stop_signals import StopRequest
from text_uda.training.trackers import Tracker, check_trackers, tracking
from translation_cache import Cache, Job

log = logging.getLogger("text_uda")

Value = TypeVar("Value")


def train_tasks(
    splits: Mapping[str, Split],
    *,
    objectives: Sequence[Method] | Mapping[str, Sequence[Method]] = PRESETS["uda"].objectives,
    method: TaskMethod | None = None,
    averaging: Averaging | None = None,
    augmentation: Job | InStep | Mapping[str, Job | InStep | None] | None = None,
    cache: Cache | Location | None = None,
    filters: Filters | None = None,
    settings: TrainSettings | None = None,
    out: str | Path,
    name: str | None = None,
    resume: bool = True,
    max_minutes: float | None = None,
    track: Sequence[Tracker] = (),
    frozen: FrozenEncoder | None = None,
    command: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Train one encoder with a head for each task, and write the run directory `out`.

    `out`/tasks/NAME is an ordinary run directory of the task NAME, with its model, which `predict`, `evaluate` and
    `pipeline` open; `out` itself has the configuration of all, the metrics, the checkpoints and a result. One step is
    chosen for all tasks, by the mean of their development figures, so the models of all tasks have one encoder. With
    one task, the run of that task is the one that `train` gives, to the byte.

    Interruptions, finished runs and several processes are as in `train`.

    Args:
        splits: the rows of each task, by its name. `side_by_side`, before `split`, removes the test texts of a task
            from the training texts of the others; here they are only warned of.
        objectives: of all tasks, or of each by its name; see `train`. A baseline needs a method that shares the head,
            `Pooled()`: it is one fit on the rows of all tasks.
        method: `Joint()` by default.
        averaging: one for the run; see `train`.
        augmentation: of all tasks, or of each by its name; see `train`.
        cache, filters: see `train`.
        settings: of the trainer. A task has `labeled_batch` labeled rows in each step in which it takes part.
        out, name, resume, max_minutes, track, frozen, command: see `train`.
    Returns:
        the content of result.json: tasks (by task: dev_error, test_error, last_dev_error, last_test_error, and
        for each of these _macro_f1 and _balanced_error, in percent), mean (of these over the tasks), selected_by,
        best_step, steps, seconds, cpu_seconds, warnings. `out`/tasks/NAME/result.json has all of a task.
    Raises:
        SettingsError: a task that cannot be trained, settings that contradict each other, or a folder that holds
            another run.
        NonFiniteError: the loss is not finite.
        Interrupted: by SIGINT or SIGTERM, or at the time limit, after a checkpoint.
    """
    settings = TrainSettings() if settings is None else settings
    method = Joint() if method is None else method
    stop, names = StopRequest(max_minutes), list(splits)
    check_trackers(track)
    check_names(names)
    method.check(names, processes=distributed.processes())
    cache = cache if cache is None or isinstance(cache, Cache) else Cache(cache)
    objectives_of = _of_each("objectives", objectives, names)
    augmentation_of = _of_each("augmentation", augmentation, names)
    for task in names:
        check_split(task, splits[task])
    baseline = shared_baseline(objectives_of, shares_head=method.shares_head)
    check_development(splits)
    if method.shares_head:
        check_same_classes(splits)
    teacher = any(needs_of(objectives_of[task]).teacher for task in names)
    averaging = chosen_averaging(averaging, teacher=teacher)
    if distributed.is_main():
        warnings = nothing_shared_warning(settings.tune, splits, shares_head=method.shares_head)
        for warning in (*warnings, *class_warnings(splits), *overlap_warnings(splits)):
            log.warning(warning)
    plans: dict[str, RunPlan] = {}
    for task, split in splits.items():
        with named(task if len(splits) > 1 else ""):
            plans[task] = plan_run(
                split, objectives_of[task], averaging, augmentation_of[task], cache, filters, settings
            )
    run = _Run(
        splits=splits,
        plans=plans,
        method=method,
        baseline=baseline,
        settings=settings,
        averaging=averaging,
        frozen=frozen,
    )
    return run.on(Path(out), name=name, resume=resume, stop=stop, track=track, command=command)


def _of_each(argument: str, value: Value | Mapping[str, Value], names: Sequence[str]) -> dict[str, Value]:
    """An argument of each task: one for all, or a mapping by the names of the tasks."""
    if not isinstance(value, Mapping):
        return dict.fromkeys(names, value)
    if value.keys() != set(names):
        raise SettingsError(
            f"{argument} has the keys {', '.join(map(repr, value)) or 'none'}; the tasks are "
            f"{', '.join(map(repr, names))}: give one of each, or one for all"
        )
    return {name: value[name] for name in names}


@dataclass(frozen=True, kw_only=True)
class _Run:
    """Checked arguments of `train_tasks`."""

    splits: Mapping[str, Split]
    plans: Mapping[str, RunPlan]
    method: TaskMethod
    baseline: Baseline | None
    settings: TrainSettings
    averaging: Averaging | None
    frozen: FrozenEncoder | None

    def on(
        self,
        out: Path,
        *,
        name: str | None,
        resume: bool,
        stop: StopRequest,
        track: Sequence[Tracker],
        command: Mapping[str, Any] | None,
    ) -> dict[str, Any]:
        """Start or resume the run in the folder `out`; returns the content of result.json."""
        settings, directory = self.settings, RunDirectory(out)
        accelerator = accelerator_of(directory, track, trains_all_weights=self.method.trains_every_head)
        distributed.check(accelerator)
        self.method.check(list(self.splits), processes=distributed.processes())
        check_divisible(settings)
        check_tune(settings.encoder, settings.tune)
        width = hidden_width(settings.encoder)
        precision: ResolvedPrecision = distributed.on_main(
            lambda: directory.resolved_precision(settings.precision, width, resume=resume)
        )
        configs = self._task_configs(name)
        config = self._config(configs, name, command)
        where = {"machine": machine(accelerator, precision)}
        jobs = [plan.augmentation.settings() for plan in self.plans.values() if plan.augmentation is not None]
        caches = [str(plan.cache) for plan in self.plans.values()]
        inputs = paths_in([settings.encoder, jobs, caches, command])
        with ExitStack() as locks:
            is_new = locks.enter_context(claimed(directory, config | where, resume=resume, inputs=inputs))
            if (finished := directory.result()) is not None:
                return finished
            distributed.on_main(
                lambda: [directory.open_task(task, of_task | where) for task, of_task in configs.items()]
            )
            try:
                resolved = replace(settings, precision=precision)
                run = (
                    self._fine_tuning(resolved, directory, accelerator)
                    if self.baseline is None
                    else self._pooled_fit(self.baseline, resolved, directory, accelerator)
                )
            except SettingsError:
                accelerator.wait_for_everyone()  # no process may still write into the folder
                if is_new and distributed.is_main():
                    directory.discard()
                raise
            with tracking(accelerator, track, config, settings):
                return run.run() if isinstance(run, PooledFit) else train_loop(run, stop)

    def _pooled_fit(
        self, baseline: Baseline, settings: TrainSettings, directory: RunDirectory, accelerator: Accelerator
    ) -> PooledFit:
        fits: dict[str, BaselineFit] = {}
        frozen = self.frozen
        for task, split in self.splits.items():
            with named(task if len(self.splits) > 1 else ""):
                fits[task] = BaselineFit(
                    split,
                    baseline,
                    settings,
                    directory.task(task),
                    accelerator,
                    frozen,
                    name=task if len(self.splits) > 1 else None,
                    beside=[other for name, other in self.splits.items() if name != task],
                )
            frozen = fits[task].frozen  # each text is encoded once for all tasks
        return PooledFit(fits, directory, accelerator)

    def _fine_tuning(self, settings: TrainSettings, directory: RunDirectory, accelerator: Accelerator) -> FineTuning:
        tasks: dict[str, ClassifierTask] = {}
        seeded_settings = {
            task: replace(settings, seed=_seed_of(task, self.splits, settings.seed)) for task in self.splits
        }
        pretrained = {
            task: load_pretrained(split.classes, seeded_settings[task]) for task, split in self.splits.items()
        }
        models = SharedEncoder([loaded.model for loaded in pretrained.values()], share_head=self.method.shares_head)
        frozen = self.frozen
        for task, split in self.splits.items():
            with named(task if len(self.splits) > 1 else ""):
                tasks[task] = ClassifierTask(
                    split,
                    losses(self.plans[task].objectives),
                    self.plans[task].views,
                    seeded_settings[task],
                    directory.task(task),
                    accelerator.device,
                    pretrained[task],
                    frozen=frozen,
                    name=task,
                )
            frozen = tasks[task].frozen  # each text is encoded once for all tasks
        shared = SharedTasks(tasks, models, self.method, directory, accelerator.device)
        return FineTuning(shared, self.averaging, settings, directory, accelerator)

    @property
    def _method_words(self) -> str:
        """How the tasks share the steps; "" for a single task."""
        others = f" of {len(self.splits)} tasks"
        return f", {self.method.name}{others}" if len(self.splits) > 1 else ""

    def _task_configs(self, name: str | None) -> dict[str, dict[str, Any]]:
        """The content of config.json of each task, except for the machine."""
        settings = self.settings
        shared = {"tasks": list(self.splits), "method": _described(self.method)}
        configs = {}
        for task, plan in self.plans.items():
            method = plan.method + self._method_words
            configs[task] = plan.config(
                self.splits[task],
                settings,
                name=f"{name or f'{method} seed {settings.seed}'}, {task}",
                steps=settings.steps if self.baseline is None else 0,
                method=method,
                more={"task": task, "shared": shared} if len(self.splits) > 1 else None,
            )
        return configs

    def _config(
        self, configs: Mapping[str, dict[str, Any]], name: str | None, command: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """The content of config.json of the run, except for the machine."""
        of_tasks = ("labels", "objectives", "augmentation", "cache_digest", "filters", "in_step")
        first = next(iter(configs.values()))
        methods = list(dict.fromkeys(plan.method for plan in self.plans.values()))
        method = f"{'; '.join(methods)}{self._method_words}"
        return {
            "name": name or f"{method} seed {self.settings.seed}",
            "method": method,
            "tasks": {
                task: {"data": {key: config["data"][key] for key in ("classes", "digest")}}  # contents, not names
                | {key: config[key] for key in of_tasks if key in config}
                for task, config in configs.items()
            },
            "task_order": list(configs),  # the first task has the draws of a run of its own
            "task_method": _described(self.method),
            **{key: first[key] for key in ("seed", "steps", "tune", "encoder", "encoder_digest", "averaging")},
            "settings": first["settings"],
            **({} if command is None else {"command": dict(command)}),
            **code_versions(),
        }


def _seed_of(task: str, tasks: Mapping[str, Any], seed: int) -> int:
    """The seed of a task's head and of the order of its rows. The first task has that of a run of its own."""
    return seed if task == next(iter(tasks)) else keyed_seed(seed, "task", task) >> 65  # torch takes 63 bits


def _described(method: TaskMethod) -> dict[str, Any]:
    return {"method": type(method).__name__} | asdict(method)  # pyright: ignore[reportArgumentType]
