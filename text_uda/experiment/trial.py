"""One run of a study, and how it is made: the data loaded, the split drawn, the encoder's features shared."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from text_uda.averaging import Averaging
from text_uda.data import Corpus, Labels, load, split
from text_uda.errors import SettingsError
from text_uda.keyed import keyed_seed
from text_uda.objectives import Objective, Supervised
from text_uda.pretrained import load_classifier
from text_uda.rows import FrozenEncoder
from text_uda.run import OF_THE_WAY
from text_uda.settings import TrainSettings
from text_uda.train import train
from translation_cache import Job


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What one run trains on and by. Its seed, which is that of the settings, draws the split too."""

    name: str
    """Of the folder of its run, where the seed follows it: letters, digits, dots and hyphens."""

    labels: Labels
    """Labeled rows in all, or "all"."""

    settings: TrainSettings
    objectives: tuple[Objective, ...] = (Supervised(),)
    averaging: Averaging | None = None

    augmentation: Job | None = None
    """Makes the second view of the unlabeled texts; its paraphrases lie in the cache."""

    unlabeled: int | None = None
    """No more than so many unlabeled texts."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]*", self.name):
            raise SettingsError(f"name={self.name!r}: letters, digits, dots and hyphens, no dot or hyphen first")

    @property
    def folder(self) -> str:
        return f"{self.name}-seed-{self.settings.seed}"

    def digest(self) -> str:
        """32 hex digits that stand for all that decides what it comes to, but for the data."""
        settings = {name: value for name, value in asdict(self.settings).items() if name not in OF_THE_WAY}
        parts = [
            self.labels,
            self.unlabeled,
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
    """A file of what a frozen encoder has made of the texts, where there is one."""

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @cached_property
    def corpus(self) -> Corpus:
        return load(**self.data)

    def run(self, trial: Trial) -> dict[str, Any]:
        """What result.json holds; where the run was finished before, it is only read.

        Raises:
            as `split` and `train`.
        """
        settings = trial.settings
        return train(
            split(self.corpus, labels=trial.labels, seed=settings.seed, unlabeled=trial.unlabeled),
            objectives=trial.objectives,
            averaging=trial.averaging,
            augmentation=trial.augmentation,
            cache=self.cache if trial.augmentation is not None else None,
            settings=settings,
            out=self.runs / trial.folder,
            frozen=self.frozen(settings) if settings.tune == "head" else None,
        )

    def frozen(self, settings: TrainSettings) -> FrozenEncoder:
        """The encoder of these settings, which knows what lies in `features`."""
        key = (settings.encoder, settings.max_tokens, settings.keep_tokens)
        if key not in self._encoders:
            self._encoders.clear()  # one at a time is enough: the trials of a study share theirs
            made = load_classifier(settings.encoder, self.corpus.classes, seed=0)
            frozen = FrozenEncoder(
                made.model, made.tokenizer, max_tokens=settings.max_tokens, keep_tokens=settings.keep_tokens
            )
            if self.features.exists():
                frozen.read(self.features)
            self._encoders[key] = frozen
        return self._encoders[key]

    @cached_property
    def _encoders(self) -> dict[tuple[str, int, str], FrozenEncoder]:
        return {}
