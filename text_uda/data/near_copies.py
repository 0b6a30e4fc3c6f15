"""Near copies: texts that differ only in case, punctuation and spaces. They never stand on both sides of a split."""

import unicodedata
from collections.abc import Sequence

import numpy as np

from text_uda.data.texts import text_keys
from translation_cache.keyset import KeySet


class _Dropped(dict[int, str | None]):
    """What `str.translate` drops: punctuation, spaces, control characters, modifiers such as ^ and `.

    Emoji, currency and other symbols stay, and so do the vowel signs of scripts that write them as marks.
    """

    def __missing__(self, code: int) -> str | None:
        character = chr(code)
        category = unicodedata.category(character)
        self[code] = None if category[0] in "PZC" or category == "Sk" else character
        return self[code]


_DROPPED = _Dropped()


def essence(text: str) -> str:
    """The same string for near copies. A text of nothing but punctuation is itself, without its spaces."""
    normal = text if text.isascii() else unicodedata.normalize("NFKC", text)
    return normal.casefold().translate(_DROPPED) or "".join(text.split())


def copy_groups(texts: Sequence[str]) -> np.ndarray:
    """For each text the number of its group of near copies, (N,) int64.

    The groups are numbered in the order of a hash of their essence: the numbers depend on no order of the texts, and
    the first k groups are a random sample of them.
    """
    return KeySet(_keys(texts)).inverse


def first_copies(texts: Sequence[str]) -> np.ndarray:
    """Where the first of each group of near copies stands, in ascending order, (G,) int64."""
    return np.sort(KeySet(_keys(texts)).first())


def copied_in(texts: Sequence[str], others: Sequence[str]) -> np.ndarray:
    """Whether each text has a near copy among others, (N,) bool. 16 bytes of memory a text, and no text."""
    if not len(others):
        return np.zeros(len(texts), dtype=bool)
    return KeySet(_keys(others)).find(_keys(texts)) >= 0


def _keys(texts: Sequence[str]) -> np.ndarray:
    return text_keys(map(essence, texts))
