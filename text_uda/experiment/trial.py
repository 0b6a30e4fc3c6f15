"""One run of a study, and its runner: loads the data, draws the split, shares the features of the encoder."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from text_uda.data import Corpus, Labels, LabelSampling, Split, load, split
from text_uda.data.corpus import digest_of
from text_uda.data.several_tasks import free_name, load_tasks, with_random_labels
from text_uda.data.texts import joined
from text_uda.errors import SettingsError
from text_uda.fusion import Choose, Fusion, TextAlone
from text_uda.keyed_random import keyed_seed
from text_uda.model.cuda import default_device
from text_uda.model.frozen_encoder import FrozenEncoder
from text_uda.model.precision import Precision
from text_uda.model.pretrained import load_classifier
from text_uda.objectives import Method, Supervised, baseline_of
from text_uda.objectives.weight_averaging import Averaging
from text_uda.runs.decisive_settings import with_effect
from text_uda.runs.directory import RunDirectory
from text_uda.runs.run_files import mode_runs
from text_uda.tasks.method import TaskMethod
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

    task: str | None = None
    """The task of a data set with several; None for all of them, or where the data set is one task."""

    task_method: TaskMethod | None = None
    """How all tasks share an encoder; None for a run of one task. Numbers of rows are then those of each task."""

    random_task: bool = False
    """Whether a task with random labels, on the texts of the first one, shares the encoder too."""

    fusion: Fusion | TextAlone | Choose | None = None
    """Of rows with other columns, how these join the text; None for texts alone."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]*", self.name):
            raise SettingsError(f"name={self.name!r}: letters, digits, dots and hyphens, no dot or hyphen first")
        if self.task == "":
            raise SettingsError("task='': name a task of the data, or give None")
        if self.task is not None and self.task_method is not None:
            raise SettingsError(f"task={self.task!r}: a task_method trains all tasks; give one of the two")
        if self.fusion is not None and self.of_tasks:
            raise SettingsError(f"fusion={self.fusion.name}: several tasks read texts without other columns")
        if self.random_task and self.task_method is None:
            raise SettingsError("random_task=True needs a task_method, by which the tasks share an encoder")

    @property
    def folder(self) -> str:
        return f"{self.name}-seed-{self.settings.seed}"

    @property
    def reads_features(self) -> bool:
        """Whether it trains on the features of a frozen encoder."""
        return self.settings.tune == "head" or baseline_of(self.objectives) is not None

    @property
    def of_tasks(self) -> bool:
        """Whether it reads a data set as several tasks."""
        return self.task is not None or self.task_method is not None

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
            *([self.task, repr(self.task_method), self.random_task] if self.of_tasks else []),
            *([] if self.fusion is None else [repr(self.fusion)]),
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

    of_tasks: bool = False
    """Whether the trials read the data as several tasks."""

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @cached_property
    def corpora(self) -> dict[str, Corpus]:
        """The data of each task; of a single one, under the name ""."""
        return load_tasks(self.data) if self.of_tasks else {"": load(**self.data)}

    @property
    def training_texts(self) -> Sequence[str]:
        """The texts of all tasks; a text of two tasks occurs twice."""
        return joined(*(corpus.training_texts() for corpus in self.corpora.values()))

    @property
    def test_texts(self) -> Sequence[str]:
        return joined(*(corpus.test.texts for corpus in self.corpora.values()))

    @property
    def digest(self) -> str:
        """Of the texts and labels of all tasks."""
        digests = [corpus.digest for corpus in self.corpora.values()]
        return digest_of(digests) if self.of_tasks else digests[0]

    def run(self, trial: Trial) -> dict[str, Any]:
        """Train, and return the content of result.json; a finished run is only read.

        Raises:
            as `split` and `train`; a SettingsError where another process runs the trial.
        """
        settings = trial.settings
        shared: dict[str, Any] = {
            "objectives": trial.objectives,
            "averaging": trial.averaging,
            "augmentation": trial.augmentation,
            "cache": self.cache if trial.augmentation is not None else None,
            "settings": settings,
            "out": self.runs / trial.folder,
            "name": trial.folder,
            "frozen": self.frozen(settings) if trial.reads_features else None,
        }
        if trial.task_method is None:
            return train(_split(trial, self.corpora[trial.task or ""]), fusion=trial.fusion, **shared)
        from text_uda.tasks.train_tasks import train_tasks

        corpora = dict(self.corpora)
        if trial.random_task:
            corpora[free_name("random", corpora)] = with_random_labels(next(iter(corpora.values())))
        splits = {task: _split(trial, corpus) for task, corpus in corpora.items()}
        return train_tasks(splits, method=trial.task_method, **shared)

    def has_finished(self, trial: Trial) -> bool:
        """Whether the run is finished. Raises SettingsError where its directory or its model is damaged.

        A model/ that is gone was removed to save space: the study reads the result alone.
        """
        directory = RunDirectory(self.runs / trial.folder)
        if not (directory.path / "result.json").exists():
            return False
        try:
            directory.config()
            for one in directory.task_directories() or [directory, *map(RunDirectory, mode_runs(directory.path))]:
                if one.model.exists():
                    one.check_whole()
            return True
        except SettingsError as error:
            raise SettingsError(f"{error} (remove {directory.path} and rerun)") from error

    def frozen(self, settings: TrainSettings) -> FrozenEncoder:
        """The encoder of these settings, which reads and writes `features`."""
        key = encoding_settings(settings)
        if key not in self._encoders:
            self._encoders.clear()  # one at a time is enough: the trials of a study share it
            classes = next(iter(self.corpora.values())).classes
            pretrained = load_classifier(settings.encoder, classes, seed=0)
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


def _split(trial: Trial, corpus: Corpus) -> Split:
    return split(
        corpus,
        labels=trial.labels,
        seed=trial.settings.seed,
        dev=trial.dev,
        unlabeled=trial.unlabeled,
        label_sampling=trial.label_sampling,
    )


def encoding_settings(settings: TrainSettings) -> tuple[str, int, str, Precision]:
    """The settings that decide the features of a frozen encoder."""
    return settings.encoder, settings.max_tokens, settings.keep_tokens, settings.precision
