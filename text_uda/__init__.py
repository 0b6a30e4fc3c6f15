"""Consistency training for text classifiers: a few labels, many unlabeled texts, cached paraphrases.

`public_names` lists the names of the package. They are imported when they are first used, so that `import text_uda`
takes no time.
"""

from typing import TYPE_CHECKING

from text_uda.lazy_imports import lazy_names

if TYPE_CHECKING:
    from text_uda.public_names import *  # noqa: F403

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_names(__name__)
