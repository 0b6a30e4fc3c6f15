"""Augmentations, one a file, and the only list of them. Each is a pure function of (text, settings, seed, sample)."""

from text_uda.augment.backtranslate import BackTranslation
from text_uda.augment.switchout import SwitchOut
from text_uda.augment.synonym import Synonym

METHODS = {"synonym": Synonym, "switchout": SwitchOut, "back-translation": BackTranslation}

__all__ = ["METHODS", "BackTranslation", "SwitchOut", "Synonym"]
