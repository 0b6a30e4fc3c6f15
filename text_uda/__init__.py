"""Consistency training for text classifiers: a few labels, many unlabeled texts, cached paraphrases.

The names below are imported when they are first used, so that `import text_uda` takes no time. `paraphrase`,
`pretrain`, `train` and `evaluate` are each a function and the module it lives in. Here the function wins, whatever was
imported before: `from text_uda import train` is the function, `from text_uda.train import ...` reaches into
the module.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from text_uda.augment.aeda import AEDA
    from text_uda.augment.backtranslate import BackTranslation
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
    from text_uda.averaging import EMA, FastSWA
    from text_uda.baselines import LogisticRegression, SelfTraining
    from text_uda.cached import Cached
    from text_uda.data import load, split
    from text_uda.evaluate import evaluate, predict
    from text_uda.filters import Filters
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
        MeanTeacher,
        MixMatch,
        MixMixup,
        PiModel,
        PseudoLabel,
        RDrop,
        SoftMatch,
        SupCon,
        Supervised,
        TMix,
        VAdD,
    )
    from text_uda.pairs import write_pairs
    from text_uda.paraphrase import paraphrase, read_paraphrases
    from text_uda.pretrain import PretrainSettings, pretrain
    from text_uda.train import TrainSettings, train
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
    "BackTranslation": "text_uda.augment.backtranslate",
    "Cache": "translation_cache",
    "Cached": "text_uda.cached",
    "Compose": "text_uda.augment.compose",
    "Cutoff": "text_uda.augment.cutoff",
    "Dash": "text_uda.objectives",
    "Deletion": "text_uda.augment.deletion",
    "EDA": "text_uda.augment.eda",
    "EMA": "text_uda.averaging",
    "EntMin": "text_uda.objectives",
    "FastSWA": "text_uda.averaging",
    "Filters": "text_uda.filters",
    "FixMatch": "text_uda.objectives",
    "FlexMatch": "text_uda.objectives",
    "FreeMatch": "text_uda.objectives",
    "InfoNCE": "text_uda.objectives",
    "ICT": "text_uda.objectives",
    "Insertion": "text_uda.augment.insertion",
    "LGA": "text_uda.objectives",
    "LogisticRegression": "text_uda.baselines",
    "MaskedLanguageModel": "text_uda.augment.mlm",
    "MeanTeacher": "text_uda.objectives",
    "MixMatch": "text_uda.objectives",
    "MixMixup": "text_uda.objectives",
    "OneOf": "text_uda.augment.compose",
    "PRESETS": "text_uda.objectives",
    "PiModel": "text_uda.objectives",
    "PretrainSettings": "text_uda.pretrain",
    "PseudoLabel": "text_uda.objectives",
    "RDrop": "text_uda.objectives",
    "RandAugment": "text_uda.augment.randaugment",
    "SNTG": "text_uda.objectives",
    "SelfTraining": "text_uda.baselines",
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
    "TrainSettings": "text_uda.train",
    "Typos": "text_uda.augment.typos",
    "UDA": "text_uda.objectives",
    "Uniform": "text_uda.augment.uniform",
    "VAT": "text_uda.objectives",
    "VAdD": "text_uda.objectives",
    "evaluate": "text_uda.evaluate",
    "load": "text_uda.data",
    "paraphrase": "text_uda.paraphrase",
    "predict": "text_uda.evaluate",
    "pretrain": "text_uda.pretrain",
    "read_paraphrases": "text_uda.paraphrase",
    "split": "text_uda.data",
    "train": "text_uda.train",
    "write_pairs": "text_uda.pairs",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """Importing a submodule sets it as an attribute of its package: a public name stays what it is."""

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, ModuleType) and _HOMES.get(name) == value.__name__:
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
