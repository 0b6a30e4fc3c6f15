"""A baseline on the rows of all tasks: one linear function of the features, the simplest rival of `Pooled`."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from accelerate import Accelerator

from text_uda import distributed
from text_uda.runs.directory import RunDirectory
from text_uda.tasks.task_results import Evaluations, finish_tasks, write_task_metrics
from text_uda.training.elapsed import Stopwatch
from text_uda.training.fit_baseline import BaselineFit, FitRows, write_evaluation


class PooledFit:
    """One fit for tasks with the same classes. Each task has its own development and test rows, and its own run
    directory with the shared model.

    Args:
        fits: of each task, with one baseline and its directory.
        directory: of the run.
    """

    def __init__(self, fits: Mapping[str, BaselineFit], directory: RunDirectory, accelerator: Accelerator) -> None:
        self._fits, self._directory, self._accelerator = fits, directory, accelerator

    def run(self) -> dict[str, Any]:
        """Fit, evaluate and write the run; returns the content of result.json."""
        fits, directory = self._fits, self._directory
        rows = {task: fit.encode() for task, fit in fits.items()}
        stopwatch = Stopwatch()
        joined = self._joined({task: one.fit for task, one in rows.items()})
        linear = next(iter(fits.values())).fit(joined)
        if len(fits) > 1:
            of_all = {"labeled": len(joined.labeled), "unlabeled": len(joined.unlabeled)}
            linear = replace(linear, fit={**linear.fit, **of_all})
        predictions = {task: fit.predict(linear, rows[task]) for task, fit in fits.items()}
        evaluations = {
            task: evaluation
            for task, fit in fits.items()
            if (evaluation := fit.evaluation(predictions[task])) is not None
        }
        write_evaluation(directory, self._accelerator, Evaluations(evaluations).record() if evaluations else None)
        distributed.on_main(lambda: write_task_metrics(directory, fits))
        elapsed = stopwatch.elapsed()
        results = {task: fit.finish(linear, predictions[task], rows[task], elapsed) for task, fit in fits.items()}
        return finish_tasks(
            directory, results, selected_by="last", best_step=0, steps=0, elapsed=elapsed, trained_together="model"
        )

    def _joined(self, rows: Mapping[str, FitRows]) -> FitRows:
        """The rows of all tasks. A text that a task labels is no unlabeled row, and each of these is read once."""
        seen = {text for fit in self._fits.values() for text in fit.split.labeled.texts}
        unlabeled = []
        for task, of_task in rows.items():
            kept = []
            for place in range(len(of_task.unlabeled)):
                text = self._fits[task].split.unlabeled[place]
                if text not in seen:
                    seen.add(text)
                    kept.append(place)
            unlabeled.append(of_task.unlabeled[kept])
        return FitRows(
            np.concatenate([of_task.labeled for of_task in rows.values()]),
            np.concatenate([of_task.labels for of_task in rows.values()]),
            np.concatenate(unlabeled),
        )
