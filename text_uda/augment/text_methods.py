"""The augmentations that make texts, by their names on the command line."""

from importlib import import_module
from typing import Any

from text_uda.lazy_imports import classes_by_file

_CLASSES = {
    name: getattr(import_module(module), kind)
    for name, (module, kind) in classes_by_file("text_uda.augment.all_augmentations").items()
}

METHODS: dict[str, Any] = {name: kind for name, kind in _CLASSES.items() if "__call__" in dir(kind)}
"""The ones whose paraphrases a cache can hold; a Cutoff works on embeddings, in the training step alone."""
