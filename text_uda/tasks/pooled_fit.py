"""A baseline on the rows of all tasks: one linear function of the features, the simplest rival of `Pooled`."""

from collections.abc import Mapping
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
        rows = [fit.encode() for fit in fits.values()]
        stopwatch = Stopwatch()
        labeled, labels, unlabeled = (
            np.concatenate([getattr(of_task, name) for of_task in rows]) for name in ("labeled", "labels", "unlabeled")
        )
        linear = next(iter(fits.values())).fit(FitRows(labeled, labels, unlabeled))
        predictions = {task: fit.predict(linear) for task, fit in fits.items()}
        evaluations = {
            task: evaluation
            for task, fit in fits.items()
            if (evaluation := fit.evaluation(predictions[task])) is not None
        }
        write_evaluation(directory, self._accelerator, Evaluations(evaluations).record() if evaluations else None)
        distributed.on_main(lambda: write_task_metrics(directory, fits))
        elapsed = stopwatch.elapsed()
        results = {task: fit.finish(linear, predictions[task], elapsed) for task, fit in fits.items()}
        return finish_tasks(directory, results, selected_by="last", best_step=0, steps=0, elapsed=elapsed)
