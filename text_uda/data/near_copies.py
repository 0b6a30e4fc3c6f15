"""Near copies: texts that differ only in case, punctuation and spaces. A split never separates them."""

import unicodedata
from collections.abc import Sequence

import numpy as np

from text_uda.data.texts import text_keys
from translation_cache.keyset import KeySet


class _Dropped(dict[int, str | None]):
    """A table for `str.translate` that drops punctuation, spaces, control characters, and modifiers such as ^ and `.

    It keeps emoji, currency signs and other symbols, and combining vowel signs.
    """

    def __missing__(self, code: int) -> str | None:
        character = chr(code)
        category = unicodedata.category(character)
        self[code] = None if category[0] in "PZC" or category == "Sk" else character
        return self[code]


_DROPPED = _Dropped()


def essence(text: str) -> str:
    """A string that near copies share. For a text of punctuation only, the text without spaces."""
    normal = text if text.isascii() else unicodedata.normalize("NFKC", text)
    return normal.casefold().translate(_DROPPED) or "".join(text.split())


def copy_groups(texts: Sequence[str]) -> np.ndarray:
    """For each text the number of its group of near copies, (N,) int64.

    A hash of the essence orders the groups: the numbers do not depend on the order of the texts, and the first k groups
    are a random sample.
    """
    return KeySet(_keys(texts)).inverse


def first_copies(texts: Sequence[str]) -> np.ndarray:
    """The index of the first text of each group of near copies, ascending, (G,) int64."""
    return np.sort(KeySet(_keys(texts)).first())


def have_near_copy(texts: Sequence[str], others: Sequence[str]) -> np.ndarray:
    """Whether each text has a near copy among others, (N,) bool. Memory: 16 bytes per text."""
    if not len(others):
        return np.zeros(len(texts), dtype=bool)
    return KeySet(_keys(others)).find(_keys(texts)) >= 0


def _keys(texts: Sequence[str]) -> np.ndarray:
    return text_keys(map(essence, texts))
