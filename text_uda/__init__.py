"""Consistency training for text classifiers: a few labels, many unlabeled texts, cached paraphrases.

The names below are imported when they are first used, so that `import text_uda` takes no time. `paraphrase`,
`train` and `evaluate` are each a function and the module it lives in. Here the function wins, whatever was
imported before: `from text_uda import train` is the function, `from text_uda.train import ...` reaches into
the module.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from text_uda.augment.backtranslate import BackTranslation
    from text_uda.augment.switchout import SwitchOut
    from text_uda.augment.synonym import Synonym
    from text_uda.data import load, split
    from text_uda.evaluate import evaluate, predict
    from text_uda.filters import Filters
    from text_uda.objectives import UDA, Supervised
    from text_uda.pairs import write_pairs
    from text_uda.paraphrase import paraphrase, read_paraphrases
    from text_uda.train import TrainSettings, train
    from translation_cache import Cache

__version__ = "0.1.0"

__all__ = [
    "UDA",
    "BackTranslation",
    "Cache",
    "Filters",
    "Supervised",
    "SwitchOut",
    "Synonym",
    "TrainSettings",
    "evaluate",
    "load",
    "paraphrase",
    "predict",
    "read_paraphrases",
    "split",
    "train",
    "write_pairs",
]

_HOMES = {
    "UDA": "text_uda.objectives",
    "BackTranslation": "text_uda.augment.backtranslate",
    "Cache": "translation_cache",
    "Filters": "text_uda.filters",
    "Supervised": "text_uda.objectives",
    "SwitchOut": "text_uda.augment.switchout",
    "Synonym": "text_uda.augment.synonym",
    "TrainSettings": "text_uda.train",
    "evaluate": "text_uda.evaluate",
    "load": "text_uda.data",
    "paraphrase": "text_uda.paraphrase",
    "predict": "text_uda.evaluate",
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
