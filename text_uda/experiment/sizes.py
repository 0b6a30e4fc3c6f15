"""The settings that the trials of a study share, by size.

smoke    a quick check that everything works
small    a laptop: a head on a frozen encoder
paper    the settings of the UDA paper (Xie et al. 2019)
usb      the settings of the USB benchmark (see `usb`)
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from text_uda.augment import BackTranslation, SwitchOut, Synonym
from text_uda.data import Corpus, Labels, LabelSampling
from text_uda.errors import SettingsError
from text_uda.experiment import usb_benchmark
from text_uda.experiment.catalogue import SIZES, Size
from text_uda.experiment.trial import Trial
from text_uda.objectives import PRESETS, UDA, Preset, Supervised
from text_uda.training.settings import TrainSettings
from translation_cache import Job

# For a laptop: a head on a frozen encoder, so that each text is encoded once for all runs. The weights of the last step
# are selected: the learning rate falls to 0, and weights selected by 24 development rows had a larger test error.
SETTINGS = TrainSettings(
    encoder="minilm-l6",
    tune="head",
    steps=800,
    labeled_batch=8,
    unlabeled_ratio=7,
    max_tokens=128,
    select_by="last",
)
# The same encoder with trained layers, a few minutes a run, with fewer unlabeled rows per labeled row than a head.
LAYERS: Mapping[str, Mapping[str, Any]] = {
    "last:2": {"steps": 400, "unlabeled_ratio": 3, "learning_rate": 3e-4},
    "all": {"steps": 400, "unlabeled_ratio": 3, "learning_rate": 1e-4},
}
CONSISTENCY = next(objective for objective in PRESETS["uda"].objectives if isinstance(objective, UDA))

# The few labels of a study; for the data sets of the paper as in Xie et al. 2019, Table 4.
_FEW = {
    **{"imdb": 20, "yelp-2": 20, "yelp-5": 2500, "amazon-2": 20, "amazon-5": 2500, "dbpedia": 140},
    **{"ag-news": 40},
    **{"movie-snippets": 100, "movie-snippets-5": 250, "wordnet-14": 140, "wordnet-6": 24, "films": 60},
    **dict.fromkeys(("product-snippets", "tweet-snippets", "news-snippets", "rated-texts"), 100),
}
# Number of texts, so that encoding them does not dominate the time; the other sizes read all.
_LIMITS: Mapping[Size, int] = {"smoke": 800, "small": 14_000}
_FEW_PER_CLASS = 10  # for other data


@dataclass(frozen=True, kw_only=True)
class _Scale:
    """The values of a size."""

    seeds: int
    settings: TrainSettings
    with_all: Mapping[str, Any]
    """Settings that differ where all rows have a label."""
    supervised: Supervised
    consistency: UDA
    back_translation: BackTranslation
    few: int | None = None
    """Labels, where the size has another number than `_FEW`."""
    presets: Mapping[str, Preset] = field(default_factory=lambda: PRESETS)


def _scale(size: Size, data: str) -> _Scale:
    """The values of a size for a data set of this name."""
    small = _Scale(
        seeds=5,
        settings=SETTINGS,
        with_all={"labeled_batch": 64, "unlabeled_ratio": 1},
        supervised=Supervised(),
        consistency=CONSISTENCY,
        back_translation=BackTranslation(),
    )
    smoke = replace(small, seeds=2, settings=replace(SETTINGS, steps=40, evaluate_every=20, log_every=5))
    # Lengths, batches, learning rates and the loss weight are those for Yelp-5 in the appendix of Xie et al. 2019;
    # steps, warm-up and annealing those of their scripts for IMDb. The steps with all labels, three epochs of Yelp-5,
    # are ours. They translated with their own models between English and French, at the same temperature.
    annealed, plain = Supervised(tsa="linear"), UDA()
    paper = _Scale(
        seeds=5,
        settings=TrainSettings(
            encoder="google-bert/bert-base-uncased",
            steps=10_000,
            labeled_batch=32,
            unlabeled_ratio=7,
            learning_rate=2e-5,
            layer_decay=1.0,
            warmup_steps=1000,
            max_tokens=512,
            evaluate_every=500,
        ),
        with_all={"steps": 60_000, "warmup_steps": 6000, "unlabeled_ratio": 1},
        supervised=annealed,
        consistency=plain,
        back_translation=BackTranslation(
            translator="marian:Helsinki-NLP/opus-mt-en-fr,Helsinki-NLP/opus-mt-fr-en", temperature=0.9
        ),
        presets=PRESETS | {"uda": Preset((annealed, plain))},
    )
    scales: dict[Size, _Scale] = {"smoke": smoke, "small": small, "paper": paper}
    if size != "usb":
        return scales[size]
    return replace(
        paper,
        seeds=usb_benchmark.SEEDS,
        settings=usb_benchmark.usb_settings(data),
        with_all={},
        supervised=usb_benchmark.SUPERVISED,
        consistency=usb_benchmark.CONSISTENCY,
        few=usb_benchmark.usb_labels(data)[0],
        presets=usb_benchmark.usb_presets(),
    )


def limit_of(size: Size) -> int | None:
    """The number of texts that a study of this size reads; None for all."""
    return _LIMITS.get(size)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The settings that the trials of a study share."""

    classes: int
    rows: int
    """Labeled rows of the training data."""
    most_labels: int
    """The largest number of labels. Balanced, the smallest class limits it; drawn in proportion, one development row
    per class remains."""
    few: int
    """Number of labels, over all classes, in trials with few labels."""
    label_sampling: LabelSampling
    dev: int | None
    """Number of development rows; None for the number of labels (see `split`)."""
    seeds: int
    """Number of seeds, from 0."""
    settings: TrainSettings
    with_all: TrainSettings
    """Settings where all rows have a label."""
    supervised: Supervised
    """The supervised loss beside consistency; with labels alone there is no annealing."""
    consistency: UDA
    presets: Mapping[str, Preset]
    """The methods by name, with the settings of this size."""
    synonym: Synonym
    switchout: SwitchOut
    back_translations: Mapping[str, BackTranslation]
    """By the names of their trials, one for each translator."""
    tasks: tuple[str, ...] = ()
    """The tasks of the data, where it has several; `few` is then the number of labels of each."""
    columns: bool = False
    """Whether the rows have columns beside the text."""
    same_classes: bool = True
    """Whether the tasks have the same classes, so that one head can serve all."""
    steps: int | None = None
    """Steps of a run; None for those of the size and of what is trained."""
    layers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Settings of this size for a `tune` that trains layers."""

    def longer(self, times: int) -> TrainSettings:
        """The settings with so many times the steps, and as many evaluations."""
        steps, every = self.settings.steps, self.settings.evaluate_every
        return replace(self.settings, steps=times * steps, evaluate_every=times * every)

    def tuned(self, tune: str) -> TrainSettings:
        """The settings for another `tune`, with its steps and learning rate."""
        if tune == self.settings.tune:
            return self.settings
        return _with_steps(_tuned(self.settings, tune, self.layers), self.steps)

    @property
    def augmentations(self) -> dict[str, Job]:
        return {
            "synonym": self.synonym,
            "switchout": self.switchout,
            **self.back_translations,
        }

    def baselines(
        self,
        *names: str,
        labels: Labels | None = None,
        settings: TrainSettings | None = None,
        prefix: str = "",
        suffix: str = "",
        **others: Any,
    ) -> Iterator[Trial]:
        """The baselines of these names in `PRESETS`, for each seed.

        Args:
            labels: None for few.
            settings: None for those of the study; a report compares methods with the baselines of the same `tune`.
            prefix, suffix: of the names of the trials.
            others: fields of `Trial`.
        """
        for name in names:
            objectives = PRESETS[name].objectives
            trial = f"{prefix}{name}{suffix}"
            yield from self.trials(trial, labels=labels, objectives=objectives, settings=settings, **others)

    def trials(
        self,
        name: str,
        *,
        labels: Labels | None = None,
        augmentation: Job | None = None,
        settings: TrainSettings | None = None,
        **others: Any,
    ) -> Iterator[Trial]:
        """One trial per seed: labels alone, or consistency with an augmentation.

        Args:
            labels: None for few.
            others: fields of `Trial`.
        """
        settings = settings or (self.with_all if labels == "all" else self.settings)
        losses = (Supervised(),) if augmentation is None else (self.supervised, self.consistency)
        sampling = {"label_sampling": self.label_sampling, "dev": self.dev}
        fields: dict[str, Any] = {"objectives": losses} | sampling | others
        for seed in range(self.seeds):
            yield Trial(
                name=name,
                labels=self.few if labels is None else labels,
                settings=replace(settings, seed=seed),
                augmentation=augmentation,
                **fields,
            )


def setting(
    corpus: Corpus,
    size: Size,
    *,
    few: int | None = None,
    label_sampling: LabelSampling = "balanced",
    dev: int | None = None,
    seeds: int | None = None,
    steps: int | None = None,
    encoder: str | None = None,
    tune: str | None = None,
    translators: Sequence[str] = (),
    tasks: Mapping[str, Corpus] | None = None,
) -> Setting:
    """The setting of a size for a data set; arguments that are not None replace the values of the size.

    Args:
        tune: None for that of the size; with tasks "last:2" where that is a head, with which tasks share no weight.
        translators: of back-translation, none for that of the size; those that can sample do so at a temperature of
            0.9. Each has its trials.
        steps: of each run, also with all labels; None for those of the size and of `tune`.
        tasks: the data of each task, for a study of several; `few` is the number of labels of each.
    Raises:
        SettingsError: fewer labels than classes, no seed, or a translator twice.
    """
    if size not in SIZES:
        raise SettingsError(f"size={size!r}: choose {', '.join(SIZES)}")
    scale = _scale(size, corpus.name)
    tasks = tasks or {}
    classes = max(len(of_task.classes) for of_task in (corpus, *tasks.values()))
    if few is None:
        few = scale.few or _FEW.get(corpus.name, _FEW_PER_CLASS * classes)
    if few < classes:
        raise SettingsError(f"few={few}: {corpus.name} has {classes} classes; give at least one label per class")
    if seeds is not None and seeds < 1:
        raise SettingsError(f"seeds={seeds}: give 1 or more")
    settings = replace(scale.settings, encoder=encoder or scale.settings.encoder)
    if tune is None and tasks and settings.tune == "head":
        tune = "last:2"
    layers = LAYERS if size == "small" else {}
    if tune is not None and tune != settings.tune:
        settings = _tuned(settings, tune, layers)
    class_sizes = Counter(corpus.train.labels).values()
    balanced = label_sampling == "balanced"
    return Setting(
        classes=classes,
        rows=len(corpus.train),
        most_labels=classes * (min(class_sizes) - 1) if balanced else sum(class_sizes) - classes,
        few=few,
        label_sampling=label_sampling,
        dev=dev,
        seeds=seeds or scale.seeds,
        settings=_with_steps(settings, steps),
        with_all=_with_steps(replace(settings, **scale.with_all), steps),
        supervised=scale.supervised,
        consistency=scale.consistency,
        presets=scale.presets,
        synonym=Synonym(),
        switchout=SwitchOut(tokenizer=settings.encoder),
        back_translations=_back_translations(scale.back_translation, translators),
        tasks=tuple(tasks),
        columns=bool(corpus.train.columns),
        same_classes=len({of_task.classes for of_task in tasks.values()}) == 1,
        steps=steps,
        layers=layers,
    )


def _tuned(settings: TrainSettings, tune: str, layers: Mapping[str, Mapping[str, Any]]) -> TrainSettings:
    """The settings for another `tune`: the learning rate, and the decay over layers for a head, are its own."""
    values: dict[str, Any] = {"tune": tune, "learning_rate": None} | dict(layers.get(tune, {}))
    return replace(settings, **(values | ({"layer_decay": None} if tune == "head" else {})))


def _with_steps(settings: TrainSettings, steps: int | None) -> TrainSettings:
    """The settings with the steps that the user gave. The warm-up is as large a part of them, and there are as many
    evaluations where these select the weights."""
    if steps is None:
        return settings
    warmup, every = settings.warmup_steps, settings.evaluate_every
    if warmup is not None:
        warmup = warmup * steps // settings.steps
    if settings.select_by != "last":
        every = max(1, every * steps // settings.steps)
    return replace(settings, steps=steps, warmup_steps=warmup, evaluate_every=every)


def _back_translations(of_size: BackTranslation, translators: Sequence[str]) -> dict[str, BackTranslation]:
    """By the names of their trials: that of the first translator stays the same, however many others are given."""
    jobs: dict[str, BackTranslation] = {}
    for name in translators:
        temperature = None if "apertium:" in name else 0.9
        trial = f"back-translation-{_engine_and_models(name)}" if jobs else "back-translation"
        if trial in jobs or any(job.translator == name for job in jobs.values()):
            raise SettingsError(f"the translator {name} is given twice, or another has models of the same names")
        jobs[trial] = replace(of_size, translator=name, temperature=temperature)
    return jobs or {"back-translation": of_size}


def _engine_and_models(translator: str) -> str:
    """For the name of a trial: `marian-eng-spa-spa-eng` of marian:models/eng-spa,models/spa-eng."""
    models = [part.rstrip("/").rpartition("/")[2] for part in re.split("[:,+]", translator)]
    return re.sub("[^A-Za-z0-9.]+", "-", "-".join(models)).strip("-.")
