"""What the trials of a study have in common, at three sizes: a look whether all works, a laptop, the paper."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from text_uda.augment import BackTranslation, SwitchOut, Synonym
from text_uda.data import Corpus, Labels
from text_uda.errors import SettingsError
from text_uda.experiment.trial import Trial
from text_uda.objectives import UDA, Supervised
from text_uda.settings import TrainSettings
from translation_cache import Job

Size = Literal["smoke", "small", "paper"]

# What runs on a laptop: a head on a frozen encoder, so that each text is encoded once for all runs. Chosen by the
# development split of the reviews; `scripts/study_demo.py` is that choice, to be run again.
SETTINGS = TrainSettings(
    encoder="minilm-l6",
    tune="head",
    steps=800,
    labeled_batch=8,
    unlabeled_ratio=7,
    learning_rate=3e-3,
    max_tokens=128,
)
CONSISTENCY = UDA(temperature=0.5, confidence_threshold=0.8, ramp_up=0.3, alignment="labels")

# Labels where they are few; those of Xie et al. 2019, Table 4 for the data sets of the paper.
_FEW = {
    **{"imdb": 20, "yelp-2": 20, "yelp-5": 2500, "amazon-2": 20, "amazon-5": 2500, "dbpedia": 140},
    **{"movie-snippets": 100, "movie-snippets-5": 250, "wordnet-14": 140, "wordnet-6": 24},
}
_FEW_PER_CLASS = 10  # of other data


@dataclass(frozen=True, kw_only=True)
class _Scale:
    """What a size says; `limit` is of texts, None of all."""

    limit: int | None
    seeds: int
    settings: TrainSettings
    with_all: Mapping[str, Any]
    """Settings that are others where all rows have a label."""
    supervised: Supervised
    consistency: UDA
    back_translation: BackTranslation


def _scales() -> dict[Size, _Scale]:
    small = _Scale(
        limit=14_000,  # so that encoding them is not most of the time
        seeds=5,
        settings=SETTINGS,
        with_all={"labeled_batch": 64, "unlabeled_ratio": 1},
        supervised=Supervised(),
        consistency=CONSISTENCY,
        back_translation=BackTranslation(),
    )
    smoke = replace(small, limit=800, seeds=2, settings=replace(SETTINGS, steps=40, evaluate_every=20, log_every=5))
    # The appendix of Xie et al. 2019 has lengths, batches, rates and the weight for Yelp-5, their scripts for IMDb the
    # steps, the warm-up and the annealing; the steps with all labels, three times over them on Yelp-5, are ours. They
    # translated with models of their own between English and French, at the same temperature.
    paper = _Scale(
        limit=None,
        seeds=5,
        settings=TrainSettings(
            steps=10_000,
            labeled_batch=32,
            unlabeled_ratio=7,
            learning_rate=2e-5,
            warmup_steps=1000,
            max_tokens=512,
            evaluate_every=500,
        ),
        with_all={"steps": 60_000, "warmup_steps": 6000, "unlabeled_ratio": 1},
        supervised=Supervised(tsa="linear"),
        consistency=UDA(),
        back_translation=BackTranslation(
            translator="marian:Helsinki-NLP/opus-mt-en-fr,Helsinki-NLP/opus-mt-fr-en", temperature=0.9
        ),
    )
    return {"smoke": smoke, "small": small, "paper": paper}


def limit_of(size: Size) -> int | None:
    """Texts of a data set that a study of this size reads."""
    return _scales()[size].limit


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What the trials of a study have in common."""

    classes: int
    rows: int
    """Rows of the training side that have a label."""
    most_labels: int
    """As many labels as the smallest class allows, when each has the same number."""
    few: int
    """Labels in all, where they are few."""
    seeds: int
    """From 0."""
    settings: TrainSettings
    with_all: TrainSettings
    """Where all rows have a label."""
    supervised: Supervised
    """Beside consistency; labels alone are not annealed."""
    consistency: UDA
    synonym: Synonym
    switchout: SwitchOut
    back_translation: BackTranslation

    @property
    def augmentations(self) -> dict[str, Job]:
        return {
            "synonym": self.synonym,
            "switchout": self.switchout,
            "back-translation": self.back_translation,
        }

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
        given: dict[str, Any] = {"objectives": losses} | others
        for seed in range(self.seeds):
            yield Trial(
                name=name,
                labels=labels or self.few,
                settings=replace(settings, seed=seed),
                augmentation=augmentation,
                **given,
            )


def setting(
    corpus: Corpus,
    size: Size,
    *,
    few: int | None = None,
    seeds: int | None = None,
    encoder: str | None = None,
    tune: str | None = None,
    translator: str | None = None,
) -> Setting:
    """The setting of a size for a data set; what is given takes the place of what the size says.

    Raises:
        SettingsError: fewer labels than classes, or no seed.
    """
    if size not in _scales():
        raise SettingsError(f"size={size!r}: choose {', '.join(_scales())}")
    scale = _scales()[size]
    classes = len(corpus.classes)
    few = few or _FEW.get(corpus.name, _FEW_PER_CLASS * classes)
    if few < classes:
        raise SettingsError(f"few={few}: {corpus.name} has {classes} classes and needs a label for each")
    if seeds is not None and seeds < 1:
        raise SettingsError(f"seeds={seeds}: give 1 or more")
    settings = replace(scale.settings, encoder=encoder or scale.settings.encoder)
    if tune is not None and tune != settings.tune:
        settings = replace(settings, tune=tune, learning_rate=None)
    back_translation = scale.back_translation
    if translator is not None:
        temperature = None if "apertium:" in translator else 0.9
        back_translation = replace(back_translation, translator=translator, temperature=temperature)
    smallest = min(Counter(corpus.train.labels).values())
    return Setting(
        classes=classes,
        rows=len(corpus.train),
        most_labels=classes * (smallest - 1),
        few=few,
        seeds=seeds or scale.seeds,
        settings=settings,
        with_all=replace(settings, **scale.with_all),
        supervised=scale.supervised,
        consistency=scale.consistency,
        synonym=Synonym(),
        switchout=SwitchOut(tokenizer=settings.encoder),
        back_translation=back_translation,
    )
