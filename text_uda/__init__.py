"""Consistency training for text classifiers: a few labels, many unlabeled texts, cached paraphrases.

The names below are imported when they are first used, so that `import text_uda` takes no time.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from text_uda.augment.aeda import AEDA
    from text_uda.augment.back_translation import BackTranslation
    from text_uda.augment.compose import Compose, OneOf, Sometimes
    from text_uda.augment.cutoff import Cutoff
    from text_uda.augment.deletion import Deletion
    from text_uda.augment.eda import EDA
    from text_uda.augment.insertion import Insertion
    from text_uda.augment.mlm import MaskedLanguageModel
    from text_uda.augment.randaugment import RandAugment
    from text_uda.augment.swap import Swap
    from text_uda.augment.switchout import SwitchOut
    from text_uda.augment.synonym import Synonym
    from text_uda.augment.tfidf import Statistics, TfIdf
    from text_uda.augment.typos import Typos
    from text_uda.augment.uniform import Uniform
    from text_uda.data import load, split
    from text_uda.objectives import (
        ICT,
        LGA,
        PRESETS,
        SNTG,
        UDA,
        VAT,
        AdaMatch,
        Dash,
        EntMin,
        FixMatch,
        FlexMatch,
        FreeMatch,
        InfoNCE,
        LogisticRegression,
        MeanTeacher,
        MixMatch,
        MixMixup,
        PiModel,
        PseudoLabel,
        RDrop,
        SelfTraining,
        SoftMatch,
        SupCon,
        Supervised,
        TMix,
        VAdD,
    )
    from text_uda.objectives.weight_averaging import EMA, FastSWA
    from text_uda.paraphrasing.cache_access import paraphrase, read_paraphrases
    from text_uda.paraphrasing.cached import Cached
    from text_uda.paraphrasing.filters import Filters
    from text_uda.paraphrasing.pairs import write_pairs
    from text_uda.runs.evaluation import evaluate, predict
    from text_uda.training.pretraining import PretrainSettings, pretrain
    from text_uda.training.train_classifier import TrainSettings, train
    from translation_cache import Cache

__version__ = "0.1.0"

__all__ = [
    "AEDA",
    "EDA",
    "EMA",
    "ICT",
    "LGA",
    "PRESETS",
    "SNTG",
    "UDA",
    "VAT",
    "AdaMatch",
    "BackTranslation",
    "Cache",
    "Cached",
    "Compose",
    "Cutoff",
    "Dash",
    "Deletion",
    "EntMin",
    "FastSWA",
    "Filters",
    "FixMatch",
    "FlexMatch",
    "FreeMatch",
    "InfoNCE",
    "Insertion",
    "LogisticRegression",
    "MaskedLanguageModel",
    "MeanTeacher",
    "MixMatch",
    "MixMixup",
    "OneOf",
    "PiModel",
    "PretrainSettings",
    "PseudoLabel",
    "RDrop",
    "RandAugment",
    "SelfTraining",
    "SoftMatch",
    "Sometimes",
    "Statistics",
    "SupCon",
    "Supervised",
    "Swap",
    "SwitchOut",
    "Synonym",
    "TMix",
    "TfIdf",
    "TrainSettings",
    "Typos",
    "Uniform",
    "VAdD",
    "evaluate",
    "load",
    "paraphrase",
    "predict",
    "pretrain",
    "read_paraphrases",
    "split",
    "train",
    "write_pairs",
]

_HOMES = {
    "AEDA": "text_uda.augment.aeda",
    "AdaMatch": "text_uda.objectives",
    "BackTranslation": "text_uda.augment.back_translation",
    "Cache": "translation_cache",
    "Cached": "text_uda.paraphrasing.cached",
    "Compose": "text_uda.augment.compose",
    "Cutoff": "text_uda.augment.cutoff",
    "Dash": "text_uda.objectives",
    "Deletion": "text_uda.augment.deletion",
    "EDA": "text_uda.augment.eda",
    "EMA": "text_uda.objectives.weight_averaging",
    "EntMin": "text_uda.objectives",
    "FastSWA": "text_uda.objectives.weight_averaging",
    "Filters": "text_uda.paraphrasing.filters",
    "FixMatch": "text_uda.objectives",
    "FlexMatch": "text_uda.objectives",
    "FreeMatch": "text_uda.objectives",
    "InfoNCE": "text_uda.objectives",
    "ICT": "text_uda.objectives",
    "Insertion": "text_uda.augment.insertion",
    "LGA": "text_uda.objectives",
    "LogisticRegression": "text_uda.objectives",
    "MaskedLanguageModel": "text_uda.augment.mlm",
    "MeanTeacher": "text_uda.objectives",
    "MixMatch": "text_uda.objectives",
    "MixMixup": "text_uda.objectives",
    "OneOf": "text_uda.augment.compose",
    "PRESETS": "text_uda.objectives",
    "PiModel": "text_uda.objectives",
    "PretrainSettings": "text_uda.training.pretraining",
    "PseudoLabel": "text_uda.objectives",
    "RDrop": "text_uda.objectives",
    "RandAugment": "text_uda.augment.randaugment",
    "SNTG": "text_uda.objectives",
    "SelfTraining": "text_uda.objectives",
    "SoftMatch": "text_uda.objectives",
    "Sometimes": "text_uda.augment.compose",
    "Statistics": "text_uda.augment.tfidf",
    "SupCon": "text_uda.objectives",
    "Supervised": "text_uda.objectives",
    "Swap": "text_uda.augment.swap",
    "SwitchOut": "text_uda.augment.switchout",
    "Synonym": "text_uda.augment.synonym",
    "TMix": "text_uda.objectives",
    "TfIdf": "text_uda.augment.tfidf",
    "TrainSettings": "text_uda.training.train_classifier",
    "Typos": "text_uda.augment.typos",
    "UDA": "text_uda.objectives",
    "Uniform": "text_uda.augment.uniform",
    "VAT": "text_uda.objectives",
    "VAdD": "text_uda.objectives",
    "evaluate": "text_uda.runs.evaluation",
    "load": "text_uda.data",
    "paraphrase": "text_uda.paraphrasing.cache_access",
    "predict": "text_uda.runs.evaluation",
    "pretrain": "text_uda.training.pretraining",
    "read_paraphrases": "text_uda.paraphrasing.cache_access",
    "split": "text_uda.data",
    "train": "text_uda.training.train_classifier",
    "write_pairs": "text_uda.paraphrasing.pairs",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
