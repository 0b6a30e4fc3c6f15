"""What a study will cost, before it starts: runs, tokens, and hours from one measured minute."""

import tempfile
import time
from collections.abc import Sequence
from contextlib import redirect_stderr
from dataclasses import asdict, dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from text_uda.augment import SwitchOut
from text_uda.data import Corpus, Rows, split
from text_uda.data.texts import taken
from text_uda.errors import SettingsError
from text_uda.experiment.study import default_workers
from text_uda.experiment.trial import Trial
from text_uda.model.pretrained import load_tokenizer
from text_uda.model.tokenized import TokenRows
from text_uda.objectives import UDA, PiModel, Supervised, all_needs, baseline_of
from text_uda.runs.directory import RunDirectory
from text_uda.training.settings import TrainSettings
from text_uda.training.stopping import Interrupted
from text_uda.training.train_classifier import train

_OF_A_CLASS = 3
_SAMPLE = 2000  # texts, of which the lengths are taken and the minute is trained on


@dataclass(frozen=True)
class Cost:
    runs: int
    tokens: int
    """Of all steps, both views counted."""
    tokens_per_s: float
    """Of one process, over all trials: measured in training, apart for what is trained (`tune`)."""
    workers: int
    hours: float
    """Of training, without the evaluations and the paraphrasing."""

    def record(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        side_by_side = f", {self.workers} side by side" if self.workers > 1 else ""
        time = f"{self.hours:,.1f} hours" if self.hours >= 1 else f"{60 * self.hours:,.1f} minutes"
        return (
            f"{self.runs:,} runs{side_by_side}; {self.tokens / 1e6:,.0f} million tokens; at the "
            f"{self.tokens_per_s:,.0f} a second that were measured about {time} of training, without reading the data, "
            "paraphrasing and evaluation"
        )


def cost(trials: Sequence[Trial], corpus: Corpus, *, workers: int | None = None, minutes: float = 1.0) -> Cost:
    """Of all trials, whether or not some of them are finished; takes `minutes` in all, and some seconds to begin.

    Raises:
        as `train`.
    """
    workers = min(len(trials), default_workers(trials) if workers is None else workers)
    sample = replace(corpus, train=_first(corpus.train), test=_first(corpus.test), unlabeled=())
    alike: dict[str, list[Trial]] = {}  # a step of a head takes a hundredth of one of the whole encoder
    for trial in trials:
        if _rows(trial):
            alike.setdefault(trial.settings.tune, []).append(trial)
    tokens = seconds = 0.0
    for part in alike.values():
        largest = max(part, key=_rows).settings
        lengths = TokenRows(sample.train.texts, load_tokenizer(largest.encoder), max_tokens=largest.max_tokens).lengths
        rows = sum(_rows(trial) * trial.settings.steps for trial in part)
        tokens += float(lengths.mean()) * rows
        seconds += rows / _rows_per_s(sample, largest, minutes / len(alike))
    return Cost(
        runs=len(trials),
        tokens=int(tokens),
        tokens_per_s=tokens / seconds if seconds else 0.0,
        workers=workers,
        hours=seconds / workers / 3600,
    )


def _first(rows: Rows) -> Rows:
    """Some rows of all, and of each class as many as a split needs."""
    labels = np.array(rows.labels)
    spread = np.linspace(0, len(rows) - 1, min(_SAMPLE, len(rows))).astype(np.int64)
    of_each = [np.flatnonzero(labels == label)[:_OF_A_CLASS] for label in np.unique(labels)]
    places = np.unique(np.concatenate([spread, *of_each]))
    return Rows(taken(rows.texts, places), tuple(rows.labels[place] for place in places.tolist()))


def _rows(trial: Trial) -> int:
    """Texts of a step, each view of one counted, as a run counts them; none of a baseline, which takes no step."""
    if baseline_of(trial.objectives) is not None:
        return 0
    needs = all_needs(trial.objectives)
    views = 1 + needs.second_view if needs.unlabeled_rows else 0
    return trial.settings.labeled_batch * (1 + views * trial.settings.unlabeled_ratio)


def _rows_per_s(corpus: Corpus, settings: TrainSettings, minutes: float) -> float:
    """Of steps with both views, the second made in the step: no paraphrase is needed to know."""
    endless = replace(settings, steps=10**7, evaluate_every=10**7, checkpoint_every=10**7, samples=1, seed=0)
    on_features = settings.tune == "head"
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        try:
            with redirect_stderr(StringIO()):  # a bar to ten million steps tells nobody anything
                train(
                    split(corpus, labels=len(corpus.classes), seed=0),
                    objectives=(Supervised(), PiModel() if on_features else UDA()),
                    augmentation=None if on_features else SwitchOut(tokenizer=settings.encoder),
                    settings=endless,
                    out=Path(folder) / "run",
                    max_minutes=minutes,
                )
        except Interrupted:
            if time.monotonic() - began < 60 * minutes:  # by somebody, not by the time
                raise
        speed = RunDirectory(Path(folder) / "run").mean_of("rows_per_s")
    if speed is None:
        raise SettingsError(f"no step came to its end in {minutes:g} minutes: this machine is too slow for this size")
    return speed
