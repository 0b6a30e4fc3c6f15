"""What a run of several tasks writes beside the run directory of each: one result, and the metrics of each task."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal

from text_uda import distributed
from text_uda.runs.directory import RunDirectory
from text_uda.runs.evaluation import FIGURES, Evaluation
from text_uda.runs.seen_texts import share_seen_texts
from text_uda.training.elapsed import Elapsed
from text_uda.training.settings import SelectBy


@dataclass(frozen=True)
class Evaluations:
    """Evaluations on the development rows of the tasks; one step is chosen for all, so that they share its encoder."""

    by_task: Mapping[str, Evaluation]

    def criterion(self, select_by: SelectBy) -> float:
        """The mean over the tasks; lower is better."""
        return fmean(evaluation.criterion(select_by) for evaluation in self.by_task.values())

    def record(self) -> dict[str, float]:
        """The means of the figures, and the record of each task with its name before each entry."""
        means = {name: fmean(getattr(one, name) for one in self.by_task.values()) for name in FIGURES}
        records = {task: evaluation.record() for task, evaluation in self.by_task.items()}
        return means | {f"{task}/{name}": value for task, record in records.items() for name, value in record.items()}


def write_task_metrics(directory: RunDirectory, names: Iterable[str]) -> None:
    """Write metrics.jsonl of each task, from that of the run in `directory`."""
    records = directory.read_metrics()
    for name in names:
        of_task = [metrics for record in records if (metrics := metrics_of(name, record))]
        directory.task(name).write_metrics(of_task)


def finish_tasks(
    directory: RunDirectory,
    results: Mapping[str, Mapping[str, Any]],
    *,
    selected_by: SelectBy,
    best_step: int,
    steps: int,
    elapsed: Elapsed,
    trained_together: Literal["model", "encoder"] | None,
) -> dict[str, Any]:
    """Write result.json of the run from those of its tasks; returns its content.

    Args:
        trained_together: what the rows of all tasks trained, which has then seen the texts of all.
    """
    if trained_together is not None:
        runs = [directory.task(name).path for name in results]
        distributed.on_main(lambda: share_seen_texts(runs, shares_head=trained_together == "model"))
    result = {
        "run": str(directory.path),
        "tasks": {name: _figures(of_task) for name, of_task in results.items()},
        "mean": _means([_figures(of_task) for of_task in results.values()]),
        "selected_by": selected_by,
        "best_step": best_step,
        "steps": steps,
        "seconds": round(elapsed.seconds, 2),
        "cpu_seconds": round(elapsed.cpu_seconds, 2),
        "warnings": [f"{name}: {warning}" for name, one in results.items() for warning in one["warnings"]],
    }
    distributed.on_main(lambda: directory.finish(result))
    return result


def metrics_of(name: str, record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The entries of a line of metrics that concern a task, as a run of this task alone writes them; None where it has
    no rows in the step."""
    prefix = f"{name}/"
    of_task = {key.removeprefix(prefix): value for key, value in record.items() if key.startswith(prefix)}
    of_run = {key: value for key, value in record.items() if "/" not in key}
    return {**of_run, **of_task} if of_task else None


def _figures(result: Mapping[str, Any]) -> dict[str, float | None]:
    names = [f"{prefix}{part}_{figure}" for prefix in ("", "last_") for part in ("dev", "test") for figure in FIGURES]
    return {name: result[name] for name in names}


def _means(figures: list[dict[str, float | None]]) -> dict[str, float | None]:
    """The mean over the tasks; None where a task has no such figure."""
    means: dict[str, float | None] = {}
    for name in figures[0]:
        values = [value for one in figures if (value := one[name]) is not None]
        means[name] = fmean(values) if len(values) == len(figures) else None
    return means
