"""Near copies: texts that differ only in case, punctuation and spaces. A split never separates them.

Rows of one text with other columns are two rows, so neither is dropped as a copy of the other, but they stay on one
side of a split: `text_groups`, `text_essence` and `have_near_copy` compare the texts without columns.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from zlib import crc32

import numpy as np

from text_uda.data.row_columns import RowText, plain_texts
from text_uda.data.texts import text_keys
from text_uda.text.numbers import find_numbers
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
    """A string that near copies share: letters, digits and symbols, then on a second line its numbers, if any.

    The numbers tell 3.5 from 35, and 2-1 from 21. For a text of punctuation only, it is the text without spaces. A text
    with columns has a third line, which those of the same columns share.
    """
    normal = text if text.isascii() else unicodedata.normalize("NFKC", text)
    letters = normal.casefold().translate(_DROPPED) or "".join(text.split())
    numbers = find_numbers(normal)
    if isinstance(text, RowText):
        return f"{letters}\n{' '.join(numbers)}\n{text.key}"
    return f"{letters}\n{' '.join(numbers)}" if numbers else letters


def text_essence(text: str) -> str:
    """The essence of the text without its columns."""
    return essence(str(text))


def copy_groups(texts: Sequence[str]) -> np.ndarray:
    """For each text the number of its group of near copies, (N,) int64.

    A hash of the essence orders the groups: their numbers do not depend on the order of the texts, and the first k
    groups are a random sample.
    """
    return KeySet(_keys(texts)).inverse


def text_groups(texts: Sequence[str]) -> np.ndarray:
    """`copy_groups` of the texts without their columns, (N,) int64."""
    return copy_groups(plain_texts(texts))


def first_copies(texts: Sequence[str]) -> np.ndarray:
    """The index of the first text of each group of near copies, ascending, (G,) int64."""
    return np.sort(KeySet(_keys(texts)).first())


def have_near_copy(texts: Sequence[str], others: Sequence[str]) -> np.ndarray:
    """Whether each text has a near copy among others, whatever their columns, (N,) bool. Memory: 16 bytes per text."""
    if not len(others):
        return np.zeros(len(texts), dtype=bool)
    return KeySet(_keys(plain_texts(others))).find(_keys(plain_texts(texts))) >= 0


def _keys(texts: Sequence[str]) -> np.ndarray:
    """Keys of the essences, (N, 2) uint64. The first column depends on the letters alone.

    So texts with numbers stay in the order, and in the splits, that they had before numbers were compared.
    """
    checksums = np.zeros(len(texts), dtype=np.uint64)

    def letters() -> Iterator[str]:
        for row, text in enumerate(texts):
            first_line, _, others = essence(text).partition("\n")
            if isinstance(text, RowText):  # many rows can share a text: 32 bits would not tell their columns apart
                checksums[row] = int.from_bytes(blake2b(others.encode(), digest_size=8).digest(), "big")
            else:
                checksums[row] = crc32(others.encode())
            yield first_line

    keys = text_keys(letters())
    keys[:, 1] ^= checksums
    return keys
