"""Augmentations, one a file, and the only list of them. Each is a pure function of (text, settings, seed, sample)."""

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

# What makes texts, and so can be cached; a Cutoff works on embeddings in the training step alone.
METHODS = {
    "synonym": Synonym,
    "tfidf": TfIdf,
    "uniform": Uniform,
    "switchout": SwitchOut,
    "insertion": Insertion,
    "swap": Swap,
    "deletion": Deletion,
    "eda": EDA,
    "aeda": AEDA,
    "typos": Typos,
    "mlm": MaskedLanguageModel,
    "randaugment": RandAugment,
    "back-translation": BackTranslation,
}

__all__ = [
    "AEDA",
    "EDA",
    "METHODS",
    "BackTranslation",
    "Compose",
    "Cutoff",
    "Deletion",
    "Insertion",
    "MaskedLanguageModel",
    "OneOf",
    "RandAugment",
    "Sometimes",
    "Statistics",
    "Swap",
    "SwitchOut",
    "Synonym",
    "TfIdf",
    "Typos",
    "Uniform",
]
