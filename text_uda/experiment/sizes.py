"""What the trials of a study have in common, by size: a look whether all works, a laptop, the paper, a benchmark."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from text_uda.augment import BackTranslation, SwitchOut, Synonym
from text_uda.data import Corpus, Labels, LabelSampling
from text_uda.errors import SettingsError
from text_uda.experiment import usb
from text_uda.experiment.trial import Trial
from text_uda.objectives import PRESETS, UDA, Preset, Supervised
from text_uda.training.settings import TrainSettings
from translation_cache import Job

Size = Literal["smoke", "small", "paper", "usb"]

# What runs on a laptop: a head on a frozen encoder, so that each text is encoded once for all runs. The last weights
# are taken: the rate falls to 0, and with 24 development rows the weights that they chose erred more.
SETTINGS = TrainSettings(
    encoder="minilm-l6",
    tune="head",
    steps=800,
    labeled_batch=8,
    unlabeled_ratio=7,
    max_tokens=128,
    select_by="last",
)
# The same encoder with some of its layers trained, a few minutes a run. Where a head takes 7 unlabeled rows for each
# labeled one, 3 do here.
LAYERS: Mapping[str, Mapping[str, Any]] = {
    "last:2": {"steps": 400, "unlabeled_ratio": 3, "learning_rate": 3e-4},
    "all": {"steps": 400, "unlabeled_ratio": 3, "learning_rate": 1e-4},
}
CONSISTENCY = next(each for each in PRESETS["uda"].objectives if isinstance(each, UDA))

# Labels where they are few; those of Xie et al. 2019, Table 4 for the data sets of the paper.
_FEW = {
    **{"imdb": 20, "yelp-2": 20, "yelp-5": 2500, "amazon-2": 20, "amazon-5": 2500, "dbpedia": 140},
    **{"ag-news": 40},
    **{"movie-snippets": 100, "movie-snippets-5": 250, "wordnet-14": 140, "wordnet-6": 24},
}
# Texts, so that encoding them is not most of the time; the other sizes read all.
_LIMITS: Mapping[Size, int] = {"smoke": 800, "small": 14_000}
_FEW_PER_CLASS = 10  # of other data


@dataclass(frozen=True, kw_only=True)
class _Scale:
    """What a size says."""

    seeds: int
    settings: TrainSettings
    with_all: Mapping[str, Any]
    """Settings that are others where all rows have a label."""
    supervised: Supervised
    consistency: UDA
    back_translation: BackTranslation
    few: int | None = None
    """Labels, where they are others than those of `_FEW`."""
    presets: Mapping[str, Preset] = field(default_factory=lambda: PRESETS)


def _scale(size: Size, data: str) -> _Scale:
    """The size for a data set of this name."""
    small = _Scale(
        seeds=5,
        settings=SETTINGS,
        with_all={"labeled_batch": 64, "unlabeled_ratio": 1},
        supervised=Supervised(),
        consistency=CONSISTENCY,
        back_translation=BackTranslation(),
    )
    smoke = replace(small, seeds=2, settings=replace(SETTINGS, steps=40, evaluate_every=20, log_every=5))
    # The appendix of Xie et al. 2019 has lengths, batches, rates and the weight for Yelp-5, their scripts for IMDb the
    # steps, the warm-up and the annealing; the steps with all labels, three times over them on Yelp-5, are ours. They
    # translated with models of their own between English and French, at the same temperature.
    annealed, plain = Supervised(tsa="linear"), UDA()
    paper = _Scale(
        seeds=5,
        settings=TrainSettings(
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
        seeds=usb.SEEDS,
        settings=usb.usb_settings(data),
        with_all={},
        supervised=usb.SUPERVISED,
        consistency=usb.CONSISTENCY,
        few=usb.usb_labels(data)[0],
        presets=usb.usb_presets(),
    )


def limit_of(size: Size) -> int | None:
    """Texts of a data set that a study of this size reads."""
    return _LIMITS.get(size)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What the trials of a study have in common."""

    classes: int
    rows: int
    """Rows of the training side that have a label."""
    most_labels: int
    """As many labels as the smallest class allows, when each has the same number; drawn in proportion, all but a
    development row of each class."""
    few: int
    """Labels in all, where they are few."""
    label_sampling: LabelSampling
    dev: int | None
    """Development rows; None for as many as there are labels (see `split`)."""
    seeds: int
    """From 0."""
    settings: TrainSettings
    with_all: TrainSettings
    """Where all rows have a label."""
    supervised: Supervised
    """Beside consistency; labels alone are not annealed."""
    consistency: UDA
    presets: Mapping[str, Preset]
    """The methods by name, with the settings of this size."""
    synonym: Synonym
    switchout: SwitchOut
    back_translation: BackTranslation

    def tuned(self, tune: str) -> TrainSettings:
        """The settings with other weights trained, in as many steps and at the rate that suit them."""
        if tune == self.settings.tune:
            return self.settings
        return replace(self.settings, tune=tune, **({"learning_rate": None} | dict(LAYERS.get(tune, {}))))

    @property
    def augmentations(self) -> dict[str, Job]:
        return {
            "synonym": self.synonym,
            "switchout": self.switchout,
            "back-translation": self.back_translation,
        }

    def baselines(
        self,
        *names: str,
        labels: Labels | None = None,
        settings: TrainSettings | None = None,
        prefix: str = "",
        suffix: str = "",
    ) -> Iterator[Trial]:
        """What the methods are held against, for each seed: those of these names in `PRESETS`.

        Args:
            labels: None for few.
            settings: None for those of the study; `tune` says beside which methods a report shows them.
            prefix, suffix: of the trials' names.
        """
        for name in names:
            objectives = PRESETS[name].objectives
            yield from self.trials(f"{prefix}{name}{suffix}", labels=labels, objectives=objectives, settings=settings)

    def trials(
        self,
        name: str,
        *,
        labels: Labels | None = None,
        augmentation: Job | None = None,
        settings: TrainSettings | None = None,
        **others: Any,
    ) -> Iterator[Trial]:
        """One for each seed: the labels alone, or consistency with what an augmentation makes.

        Args:
            labels: None for few.
            others: fields of `Trial`.
        """
        settings = settings or (self.with_all if labels == "all" else self.settings)
        losses = (Supervised(),) if augmentation is None else (self.supervised, self.consistency)
        drawn = {"label_sampling": self.label_sampling, "dev": self.dev}
        given: dict[str, Any] = {"objectives": losses} | drawn | others
        for seed in range(self.seeds):
            yield Trial(
                name=name,
                labels=self.few if labels is None else labels,
                settings=replace(settings, seed=seed),
                augmentation=augmentation,
                **given,
            )


def setting(
    corpus: Corpus,
    size: Size,
    *,
    few: int | None = None,
    label_sampling: LabelSampling = "balanced",
    dev: int | None = None,
    seeds: int | None = None,
    encoder: str | None = None,
    tune: str | None = None,
    translator: str | None = None,
) -> Setting:
    """The setting of a size for a data set; what is given takes the place of what the size says.

    Raises:
        SettingsError: fewer labels than classes, or no seed.
    """
    if size not in get_args(Size):
        raise SettingsError(f"size={size!r}: choose {', '.join(get_args(Size))}")
    scale = _scale(size, corpus.name)
    classes = len(corpus.classes)
    if few is None:
        few = scale.few or _FEW.get(corpus.name, _FEW_PER_CLASS * classes)
    if few < classes:
        raise SettingsError(f"few={few}: {corpus.name} has {classes} classes and needs a label for each")
    if seeds is not None and seeds < 1:
        raise SettingsError(f"seeds={seeds}: give 1 or more")
    settings = replace(scale.settings, encoder=encoder or scale.settings.encoder)
    if tune is not None and tune != settings.tune:
        suiting = LAYERS.get(tune, {}) if size == "small" else {}
        settings = replace(settings, tune=tune, **({"learning_rate": None} | dict(suiting)))
    back_translation = scale.back_translation
    if translator is not None:
        temperature = None if "apertium:" in translator else 0.9
        back_translation = replace(back_translation, translator=translator, temperature=temperature)
    sizes = Counter(corpus.train.labels).values()
    balanced = label_sampling == "balanced"
    return Setting(
        classes=classes,
        rows=len(corpus.train),
        most_labels=classes * (min(sizes) - 1) if balanced else sum(sizes) - classes,
        few=few,
        label_sampling=label_sampling,
        dev=dev,
        seeds=seeds or scale.seeds,
        settings=settings,
        with_all=replace(settings, **scale.with_all),
        supervised=scale.supervised,
        consistency=scale.consistency,
        presets=scale.presets,
        synonym=Synonym(),
        switchout=SwitchOut(tokenizer=settings.encoder),
        back_translation=back_translation,
    )
