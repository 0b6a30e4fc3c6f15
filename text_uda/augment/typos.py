"""Typos on a QWERTY keyboard: a letter replaced by its neighbour, a neighbour added, a letter missing, two swapped."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from text_uda.augment.word_edit import EditedText, WordEdit, lower_case
from text_uda.augment.words import NEGATIONS, STOP_WORDS, Edit, Word, apply_edits
from text_uda.keyed_random import Draws

_ROWS = (("qwertyuiop", 0.0), ("asdfghjkl", 0.25), ("zxcvbnm", 0.75))  # letters, and the row's shift to the right
_KEYS = {
    letter: (column + shift, row) for row, (letters, shift) in enumerate(_ROWS) for column, letter in enumerate(letters)
}
NEIGHBOURS = {
    key: "".join(
        other for other, (ox, oy) in sorted(_KEYS.items()) if other != key and (ox - x) ** 2 + (oy - y) ** 2 < 1.7
    )
    for key, (x, y) in _KEYS.items()
}
"""The adjacent keys of each key, up to 1.3 key widths apart."""
_MIN_LETTERS = 4


@dataclass(frozen=True, kw_only=True)
class Typos(WordEdit):
    """One typo in each of max(1, round(rate n)) random words of a text of n words.

    A typo is one of four at a random inner letter, with equal probability: a neighbouring key replaces the letter, a
    neighbouring key is added after it, the letter is missing, or (where two adjacent inner letters differ) two such
    letters swap. First and last letter stay, because people read a word by them.

    Source: Belinkov & Bisk 2018 (arXiv 1711.02173), Section 3, keyboard typos and swaps; Pruthi et al. 2019 (arXiv
    1905.11268), Section 3, all four, on inner letters, in words of four letters or more. Negations and words that would
    become one stay, as do protected words, names, numbers, contractions, addresses, and a text of stop words alone.
    A capitalised first word may change, also if it is a name: list such names in `protect`.
    """

    method = "typos"
    version = 2

    rate: float = 0.1
    """Share of the words with a typo, in (0, 1]; at least one per text."""

    language: str = "any"
    """Of the texts, such as en or de; sentences in another one stay. Words with other letters than a to z stay."""

    @cached_property
    def kept_words(self) -> frozenset[str]:
        return NEGATIONS | lower_case(self.protect)

    def edit(self, text: str, words: Sequence[Word], draws: Draws) -> EditedText:
        eligible = [
            word
            for word in words
            if word.editable
            and word.text.isascii()
            and len(word.text) >= _MIN_LETTERS
            and word.lowercase not in self.kept_words
        ]
        if not eligible or all(word.lowercase in STOP_WORDS for word in words):
            return EditedText(text, 0.0)
        count = min(len(eligible), max(1, round(self.rate * len(words))))
        edits = []
        for index in draws.distinct(len(eligible), count):
            word = eligible[index]
            typo = _with_typo(word.text, draws)
            if typo.lower() not in NEGATIONS:
                edits.append(Edit(word.start, word.end, typo))
        return EditedText(apply_edits(text, edits), len(edits) / len(words))


def _with_typo(word: str, draws: Draws) -> str:
    at = 1 + draws.below(len(word) - 2)
    neighbours = NEIGHBOURS[word[at]]
    swappable = [index for index in range(1, len(word) - 2) if word[index] != word[index + 1]]
    match draws.below(4 if swappable else 3):
        case 0:
            return word[:at] + neighbours[draws.below(len(neighbours))] + word[at + 1 :]
        case 1:
            return word[: at + 1] + neighbours[draws.below(len(neighbours))] + word[at + 1 :]
        case 2:
            return word[:at] + word[at + 1 :]
        case _:
            at = swappable[draws.below(len(swappable))]
            return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
