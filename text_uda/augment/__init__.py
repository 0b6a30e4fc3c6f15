"""Augmentations, one a file; `all_augmentations` lists them. Each is a pure function of (text, settings, seed, sample).

The names are imported when they are first used.
"""

from typing import TYPE_CHECKING

from text_uda.lazy_imports import lazy_names

if TYPE_CHECKING:
    from text_uda.augment.all_augmentations import *  # noqa: F403
    from text_uda.augment.compose import Compose as Compose
    from text_uda.augment.compose import OneOf as OneOf
    from text_uda.augment.compose import Sometimes as Sometimes
    from text_uda.augment.text_methods import METHODS as METHODS
    from text_uda.augment.tfidf import Statistics as Statistics

__getattr__, __dir__, __all__ = lazy_names(__name__)
