"""One run of a study, and its runner: loads the data, draws the split, shares the features of the encoder."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from text_uda.data import Corpus, Labels, LabelSampling, load, split
from text_uda.errors import SettingsError
from text_uda.keyed_random import keyed_seed
from text_uda.model.cuda import default_device
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


@dataclass(frozen=True, kw_only=True)
class Trial:
    """The data and settings of one run. The seed of the settings draws the split too."""

    name: str
    """Its run directory is NAME-seed-N: letters, digits, dots and hyphens."""

    labels: Labels
    """Labeled rows in all, or "all"."""

    settings: TrainSettings
    objectives: tuple[Method, ...] = (Supervised(),)
    averaging: Averaging | None = None

    augmentation: Job | None = None
    """Gives the second view of the unlabeled texts; its paraphrases are read from the cache."""

    unlabeled: int | None = None
    """The largest number of unlabeled texts; None for all."""

    dev: int | None = None
    """Number of development rows; None for the number of labels (see `split`), or those of the corpus."""

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
        """Whether it trains on the features of a frozen encoder."""
        return self.settings.tune == "head" or baseline_of(self.objectives) is not None

    def digest(self) -> str:
        """A hash (32 hex digits) of everything that decides the result, except the data."""
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
class TrialRunner:
    """Runs trials of one data set, one at a time. Pickled for another process, it keeps its fields only."""

    data: Mapping[str, Any]
    """The arguments of `load`."""

    cache: str
    """Location of the paraphrases."""

    runs: Path
    """Folder of the run directories."""

    features: Path
    """Folder of the features of frozen encoders (see `text_uda.model.feature_store`)."""

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @cached_property
    def corpus(self) -> Corpus:
        return load(**self.data)

    def run(self, trial: Trial) -> dict[str, Any]:
        """Train, and return the content of result.json; a finished run is only read.

        Raises:
            as `split` and `train`; a SettingsError where another process runs the trial.
        """
        settings = trial.settings
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
        """Whether the run is finished. Raises SettingsError where its directory or its model is damaged.

        A model/ that is gone was removed to save space: the study reads the result alone.
        """
        directory = RunDirectory(self.runs / trial.folder)
        if not (directory.path / "result.json").exists():
            return False
        try:
            if directory.model.exists():
                directory.check_whole()
            else:
                directory.config()
            return True
        except SettingsError as error:
            raise SettingsError(f"{error} (remove {directory.path} and rerun)") from error

    def frozen(self, settings: TrainSettings) -> FrozenEncoder:
        """The encoder of these settings, which reads and writes `features`."""
        key = encoding_settings(settings)
        if key not in self._encoders:
            self._encoders.clear()  # one at a time is enough: the trials of a study share it
            pretrained = load_classifier(settings.encoder, self.corpus.classes, seed=0)
            model: Any = pretrained.model  # `to` is a wrapped method
            frozen = FrozenEncoder(
                model.to(default_device()),
                pretrained.tokenizer,
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


def encoding_settings(settings: TrainSettings) -> tuple[str, int, str, Precision]:
    """The settings that decide the features of a frozen encoder."""
    return settings.encoder, settings.max_tokens, settings.keep_tokens, settings.precision
