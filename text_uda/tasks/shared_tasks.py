"""Several tasks on one encoder, as `FineTuning` trains them: what it asks of one task, for all of them."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import torch

from text_uda import distributed
from text_uda.errors import SettingsError
from text_uda.model.capabilities import check_head_is_separable
from text_uda.model.precision import ResolvedPrecision
from text_uda.runs.directory import RunDirectory
from text_uda.tasks.joint_step import JointStep
from text_uda.tasks.method import TaskBatches, TaskMethod
from text_uda.tasks.shared_encoder import SharedEncoder
from text_uda.tasks.task_results import Evaluations, finish_tasks, write_task_metrics
from text_uda.tasks.uncertainty import LEARNING_RATE, new_log_variances
from text_uda.training.batches import prepared_ahead
from text_uda.training.classifier_task import ClassifierTask
from text_uda.training.elapsed import Elapsed
from text_uda.training.final_evaluation import Predictions
from text_uda.training.settings import SelectBy
from text_uda.training.step import StepLoss


class SharedTasks:
    """The tasks of a run. Their models share an encoder: the one of the first task (see `SharedEncoder`)."""

    def __init__(
        self,
        tasks: Mapping[str, ClassifierTask],
        models: SharedEncoder,
        method: TaskMethod,
        directory: RunDirectory,
        device: torch.device,
    ) -> None:
        """
        Args:
            tasks: by name; their models are those of `models`, in order.
            directory: of the run; each task has a directory of its own.
        """
        self._tasks, self._models, self._method = tasks, models, method
        self._directory, self._device = directory, device
        self._first = next(iter(tasks.values()))
        if method.trains_weights:
            models.log_variances = new_log_variances(len(tasks), device)
        self.module = JointStep(
            models, {name: task.module for name, task in tasks.items()}, method, separable=_is_separable(models)
        )
        self._seed = self._first.settings.seed
        self._sizes = {name: len(task.split.labeled) for name, task in tasks.items()}

    @property
    def precision(self) -> ResolvedPrecision:
        return self._first.precision

    @property
    def select_by(self) -> SelectBy:
        return self._first.select_by

    # --- the optimizer ------------------------------------------------------------------------------------------------

    @property
    def base_rate(self) -> float:
        return self._first.base_rate

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Those of the tasks, each parameter once, and a group for the weights of the losses."""
        groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
        grouped: set[torch.nn.Parameter] = set()
        for task in self._tasks.values():
            for group in task.parameter_groups():
                new = [parameter for parameter in group["params"] if parameter not in grouped]
                groups.setdefault((group["factor"], group["weight_decay"]), []).extend(new)
                grouped.update(new)
        if self._models.log_variances is not None:
            groups.setdefault((LEARNING_RATE / self.base_rate, 0.0), []).append(self._models.log_variances)
        return [
            {"params": parameters, "weight_decay": weight_decay, "factor": factor}
            for (factor, weight_decay), parameters in groups.items()
        ]

    def compile(self) -> None:
        self._first.compile()

    # --- a step -------------------------------------------------------------------------------------------------------

    def batches(self, first: int, last: int) -> Iterator[TaskBatches]:
        """A task goes through its rows by its own count of steps, so it reads every row once an epoch."""
        visits, plan = dict.fromkeys(self._tasks, 0), list[dict[str, int]]()
        for step in range(last):
            drawn = self._method.tasks_of(step, sizes=self._sizes, seed=self._seed)
            plan.append({name: visits[name] for name in drawn})
            for name in drawn:
                visits[name] += 1

        def batch(step: int) -> TaskBatches:
            rows = {name: self._tasks[name].stream.batch(visit) for name, visit in plan[step].items()}
            return TaskBatches(step, rows)

        return prepared_ahead(batch, first, last, self._device)

    def backward(self, run: Callable[..., StepLoss], batch: TaskBatches) -> StepLoss:
        result = self._method.backward(run, batch, self._models, seed=self._seed)
        for name in batch.batches:
            self._tasks[name].add_penalty()
        return result

    def row_indices(self, batch: TaskBatches) -> dict[str, list[int]]:
        return {
            f"{name}/{kind}": indices
            for name, rows in batch.batches.items()
            for kind, indices in self._tasks[name].row_indices(rows).items()
        }

    def rows_in(self, batch: TaskBatches) -> int:
        return sum(self._tasks[name].rows_in(rows) for name, rows in batch.batches.items())

    # --- an evaluation ------------------------------------------------------------------------------------------------

    def dev_evaluation(self, model: SharedEncoder) -> Evaluations | None:
        evaluations = {
            name: evaluation
            for (name, task), task_model in zip(self._tasks.items(), model.models, strict=True)
            if (evaluation := task.dev_evaluation(task_model)) is not None
        }
        return Evaluations(evaluations) if evaluations else None

    def predictions(self, model: SharedEncoder) -> dict[str, Predictions]:
        models = zip(self._tasks.items(), model.models, strict=True)
        return {name: task.predictions(task_model) for (name, task), task_model in models}

    # --- the end ------------------------------------------------------------------------------------------------------

    def finish(
        self,
        *,
        last: Mapping[str, Predictions],
        chosen: Mapping[str, Predictions],
        best_step: int,
        steps: int,
        planned: int,
        elapsed: Elapsed,
    ) -> dict[str, Any]:
        """Write the run directory of each task, then the result of the run, which has the figures of all."""
        run = {"best_step": best_step, "steps": steps, "planned": planned, "elapsed": elapsed}
        distributed.on_main(lambda: write_task_metrics(self._directory, self._tasks))
        results = {name: task.finish(last=last[name], chosen=chosen[name], **run) for name, task in self._tasks.items()}
        return finish_tasks(
            self._directory,
            results,
            selected_by=self.select_by,
            best_step=best_step,
            steps=steps,
            elapsed=elapsed,
            trained_together=self._trained_together(),
        )

    def _trained_together(self) -> Literal["model", "encoder"] | None:
        if self._method.shares_head:
            return "model"
        return "encoder" if self._models.shared_parameters() else None


def _is_separable(models: SharedEncoder) -> bool:
    try:
        check_head_is_separable(models.models[0])
    except SettingsError:
        return False
    return True
