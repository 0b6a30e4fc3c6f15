"""Estimates the cost of a study before it starts: runs, tokens, and hours from one measured minute."""

import tempfile
import time
from collections.abc import Sequence
from contextlib import redirect_stderr
from dataclasses import asdict, dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch

from text_uda.augment import SwitchOut
from text_uda.data import Corpus, Rows, split
from text_uda.data.texts import take_texts
from text_uda.errors import SettingsError
from text_uda.experiment.study import default_workers
from text_uda.experiment.trial import Trial
from text_uda.experiment.workers import threads_of_worker
from text_uda.fusion import Choose, TextAlone
from text_uda.model.pretrained import load_tokenizer
from text_uda.model.tokenized import TokenRows
from text_uda.objectives import UDA, PiModel, Supervised, all_needs, baseline_of
from text_uda.runs.directory import RunDirectory
from text_uda.training.settings import TrainSettings
from text_uda.training.stop_signals import Interrupted
from text_uda.training.train_classifier import train

_ROWS_PER_CLASS = 3
_SAMPLE = 2000  # texts, for their lengths and for the measured minute


@dataclass(frozen=True)
class Cost:
    """An estimate."""

    runs: int
    tokens: int
    """Of all steps, with both views."""
    tokens_per_s: float
    """Of one process, over all trials; measured in training, separately for each `tune`."""
    workers: int
    hours: float
    """Of training, without evaluation and paraphrasing."""

    def record(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        parallel = f", {self.workers} in parallel" if self.workers > 1 else ""
        time = f"{self.hours:,.1f} hours" if self.hours >= 1 else f"{60 * self.hours:,.1f} minutes"
        return (
            f"{self.runs:,} runs{parallel}; {self.tokens / 1e6:,.0f} million tokens; about {time} of training at the "
            f"measured {self.tokens_per_s:,.0f} tokens a second, without reading the data, paraphrasing and evaluation"
        )


def estimate_cost(
    trials: Sequence[Trial], corpus: Corpus, *, tasks: int = 1, workers: int | None = None, minutes: float = 1.0
) -> Cost:
    """The cost of all trials, finished or not; takes `minutes` in all, and some seconds to start.

    Args:
        tasks: how many the data has. A joint step has the rows of all of them.
    Raises:
        as `train`.
    """
    workers = min(len(trials), default_workers(trials) if workers is None else workers)
    threads = torch.get_num_threads()
    torch.set_num_threads(threads_of_worker(workers))
    try:
        return _measured_cost(trials, corpus, tasks, workers, minutes)
    finally:
        torch.set_num_threads(threads)


def _measured_cost(trials: Sequence[Trial], corpus: Corpus, tasks: int, workers: int, minutes: float) -> Cost:
    sample = replace(corpus, train=_sample(corpus.train), test=_sample(corpus.test), unlabeled=())
    by_tune: dict[str, list[Trial]] = {}  # a step of a head takes a hundredth of a step of the whole encoder
    for trial in trials:
        if _rows(trial, tasks):
            by_tune.setdefault(trial.settings.tune, []).append(trial)
    tokens = seconds = 0.0
    for same_tune in by_tune.values():
        largest = max(same_tune, key=lambda trial: _rows(trial, tasks)).settings
        lengths = TokenRows(sample.train.texts, load_tokenizer(largest.encoder), max_tokens=largest.max_tokens).lengths
        rows = sum(_rows(trial, tasks) * trial.settings.steps for trial in same_tune)
        tokens += float(lengths.mean()) * rows
        seconds += rows / _rows_per_s(sample, largest, minutes / len(by_tune))
    return Cost(
        runs=len(trials),
        tokens=int(tokens),
        tokens_per_s=tokens / seconds if seconds else 0.0,
        workers=workers,
        hours=seconds / workers / 3600,
    )


def _sample(rows: Rows) -> Rows:
    """Rows from all over the data, and of each class as many as a split needs."""
    labels = np.array(rows.labels)
    spread = np.linspace(0, len(rows) - 1, min(_SAMPLE, len(rows))).astype(np.int64)
    rows_by_class = [np.flatnonzero(labels == label)[:_ROWS_PER_CLASS] for label in np.unique(labels)]
    indices = np.unique(np.concatenate([spread, *rows_by_class]))
    return Rows(take_texts(rows.texts, indices), tuple(rows.labels[index] for index in indices.tolist()))


def _rows(trial: Trial, tasks: int) -> int:
    """Texts of a step, each view counted, as the metrics of a run count them; 0 for a baseline, which takes no step."""
    if baseline_of(trial.objectives) is not None:
        return 0
    needs = all_needs(trial.objectives)
    views = 1 + needs.second_view if needs.unlabeled_rows else 0
    rows = trial.settings.labeled_batch * (1 + views * trial.settings.unlabeled_ratio)
    if isinstance(trial.fusion, Choose):  # four modes with this method, and the pick; the columns have the labeled rows
        return 5 * rows + trial.settings.labeled_batch
    if trial.task_method is None:
        return rows
    sizes = dict.fromkeys([str(number) for number in range(tasks + trial.random_task)], 1)
    return rows * len(trial.task_method.tasks_of(0, sizes=sizes, seed=0))


def _rows_per_s(corpus: Corpus, settings: TrainSettings, minutes: float) -> float:
    """Speed of steps with both views. The second view is computed in the step, so that no paraphrase is needed."""
    endless = replace(settings, steps=10**7, evaluate_every=10**7, checkpoint_every=10**7, samples=1, seed=0)
    on_features = settings.tune == "head"
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        try:
            with redirect_stderr(StringIO()):  # a progress bar to ten million steps is of no use
                train(
                    split(corpus, labels=len(corpus.classes), seed=0),
                    objectives=(Supervised(), PiModel() if on_features else UDA()),
                    augmentation=None if on_features else SwitchOut(tokenizer=settings.encoder),
                    settings=endless,
                    fusion=TextAlone() if corpus.train.columns else None,
                    out=Path(folder) / "run",
                    max_minutes=minutes,
                )
        except Interrupted:
            if time.monotonic() - started < 60 * minutes:  # by a signal, not by `max_minutes`
                raise
        speed = RunDirectory(Path(folder) / "run").mean_of("rows_per_s")
    if speed is None:
        raise SettingsError(f"no step finished in {minutes:g} minutes: this machine is too slow for this size")
    return speed
