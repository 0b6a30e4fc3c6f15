"""One run of a study, and how it is made: the data loaded, the split drawn, the encoder's features shared."""

import fcntl
import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from text_uda.data import Corpus, Labels, LabelSampling, load, split
from text_uda.errors import SettingsError
from text_uda.keyed_random import keyed_seed
from text_uda.model.frozen_encoder import FrozenEncoder
from text_uda.model.precision import Precision
from text_uda.model.pretrained import load_classifier
from text_uda.objectives import Method, Supervised, baseline_of
from text_uda.objectives.weight_averaging import Averaging
from text_uda.runs.decisive_settings import with_effect
from text_uda.runs.directory import RunDirectory
from text_uda.training.settings import TrainSettings
from text_uda.training.train_classifier import train
from translation_cache import Job

_PATIENCE_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What one run trains on and by. Its seed, which is that of the settings, draws the split too."""

    name: str
    """Of the folder of its run, where the seed follows it: letters, digits, dots and hyphens."""

    labels: Labels
    """Labeled rows in all, or "all"."""

    settings: TrainSettings
    objectives: tuple[Method, ...] = (Supervised(),)
    averaging: Averaging | None = None

    augmentation: Job | None = None
    """Makes the second view of the unlabeled texts; its paraphrases lie in the cache."""

    unlabeled: int | None = None
    """No more than so many unlabeled texts."""

    dev: int | None = None
    """Development rows; None for as many as there are labeled ones (see `split`), or those of the corpus."""

    label_sampling: LabelSampling = "balanced"
    """How the labeled rows are drawn (see `split`)."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]*", self.name):
            raise SettingsError(f"name={self.name!r}: letters, digits, dots and hyphens, no dot or hyphen first")

    @property
    def folder(self) -> str:
        return f"{self.name}-seed-{self.settings.seed}"

    @property
    def reads_features(self) -> bool:
        """Of a frozen encoder."""
        return self.settings.tune == "head" or baseline_of(self.objectives) is not None

    def digest(self) -> str:
        """32 hex digits that stand for all that decides what it comes to, but for the data."""
        settings = with_effect(asdict(self.settings))
        parts = [
            self.labels,
            self.unlabeled,
            self.dev,
            self.label_sampling,
            settings,
            [repr(objective) for objective in self.objectives],
            repr(self.averaging),
            self.augmentation and self.augmentation.settings(),
        ]
        return f"{keyed_seed('trial', json.dumps(parts, sort_keys=True)):032x}"


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Where trials of one data set are run, one after another. Another process makes its own of the same fields."""

    data: Mapping[str, Any]
    """The arguments of `load`."""

    cache: str
    """Where the paraphrases lie."""

    runs: Path
    """A folder for the run directories."""

    features: Path
    """A folder for what frozen encoders make of the texts (see `text_uda.model.feature_store`)."""

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @cached_property
    def corpus(self) -> Corpus:
        return load(**self.data)

    def run(self, trial: Trial) -> dict[str, Any]:
        """What result.json holds; where the run was finished before, it is only read.

        Raises:
            as `split` and `train`.
            SettingsError: another process is at work on it.
        """
        settings = trial.settings
        with _alone(self.runs / ".locks" / trial.folder):
            return train(
                split(
                    self.corpus,
                    labels=trial.labels,
                    seed=settings.seed,
                    dev=trial.dev,
                    unlabeled=trial.unlabeled,
                    label_sampling=trial.label_sampling,
                ),
                objectives=trial.objectives,
                averaging=trial.averaging,
                augmentation=trial.augmentation,
                cache=self.cache if trial.augmentation is not None else None,
                settings=settings,
                out=self.runs / trial.folder,
                name=trial.folder,
                frozen=self.frozen(settings) if trial.reads_features else None,
            )

    def has_finished(self, trial: Trial) -> bool:
        """Raises SettingsError where what it left is damaged."""
        directory = RunDirectory(self.runs / trial.folder)
        if not (directory.path / "result.json").exists():
            return False
        try:
            return bool(directory.config() and directory.result())
        except SettingsError as error:
            raise SettingsError(f"{error} (remove {directory.path}, and the same command trains it anew)") from error

    def frozen(self, settings: TrainSettings) -> FrozenEncoder:
        """The encoder of these settings, which knows what lies in `features`."""
        key = encoding(settings)
        if key not in self._encoders:
            self._encoders.clear()  # one at a time is enough: the trials of a study share theirs
            made = load_classifier(settings.encoder, self.corpus.classes, seed=0)
            frozen = FrozenEncoder(
                made.model,
                made.tokenizer,
                max_tokens=settings.max_tokens,
                keep_tokens=settings.keep_tokens,
                precision=settings.precision,
                folder=self.features,
            )
            self._encoders[key] = frozen
        return self._encoders[key]

    @cached_property
    def _encoders(self) -> dict[tuple[str, int, str, Precision], FrozenEncoder]:
        return {}


def encoding(settings: TrainSettings) -> tuple[str, int, str, Precision]:
    """The settings that decide what a frozen encoder makes of a text."""
    return settings.encoder, settings.max_tokens, settings.keep_tokens, settings.precision


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """A lock that ends with its process. One that was just killed is waited for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        give_up = time.monotonic() + _PATIENCE_S
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > give_up:
                    raise SettingsError(f"another process is at work on {path.name}: wait for it, or end it") from None
                time.sleep(0.2)
        yield
