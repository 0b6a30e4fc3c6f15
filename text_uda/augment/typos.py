"""Typos: a letter of a word missed, doubled with a neighbour, hit beside or exchanged on a QWERTY keyboard."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from text_uda.augment.per_text import Changed, check_protect, check_rate, per_text, protected
from text_uda.augment.words import NEGATIONS, STOP_WORDS, Edit, edited, words
from text_uda.keyed_random import Draws
from translation_cache import Paraphrase

VERSION = 1  # of the algorithm: a change of what it makes is a new number

_ROWS = (("qwertyuiop", 0.0), ("asdfghjkl", 0.25), ("zxcvbnm", 0.75))  # letters, and how far the row is to the right
_KEYS = {letter: (at + shift, row) for row, (letters, shift) in enumerate(_ROWS) for at, letter in enumerate(letters)}
NEIGHBOURS = {
    key: "".join(
        other for other, (ox, oy) in sorted(_KEYS.items()) if other != key and (ox - x) ** 2 + (oy - y) ** 2 < 1.7
    )
    for key, (x, y) in _KEYS.items()
}
"""Keys that lie beside each other, up to 1.3 key widths apart."""
_SHORTEST = 4  # letters


@dataclass(frozen=True, kw_only=True)
class Typos:
    """One typo in each of max(1, round(rate n)) random words of a text of n words.

    One of four at one of the inner letters, all equally likely: a neighbour on the keyboard in its place, a neighbour
    put in after it, the letter missing, or, where two inner letters that differ stand together, two such exchanged. The
    first and the last letter stay, by which people read a word.

    Source: Belinkov & Bisk 2018 (arXiv 1711.02173), Section 3, keyboard typos and swaps; Pruthi et al. 2019 (arXiv
    1905.11268), Section 3, all four, on inner letters, in words of four letters or more. Negations and what would turn
    into one stay, and so do protected words, names, numbers, contractions, addresses, and a text of stop words alone.
    """

    rate: float = 0.1
    """Share of the words with a typo, in (0, 1]; at least one a text."""

    seed: int = 0

    protect: tuple[str, ...] = ()
    """Words to leave alone, such as those that carry the label; each form by itself, in any case."""

    def __post_init__(self) -> None:
        check_rate(self.rate)
        check_protect(self.protect)

    def settings(self) -> dict[str, Any]:
        named = {"method": "typos", "version": VERSION, "unit": "text"}
        return named | {"rate": self.rate, "seed": self.seed, "protect": sorted(protected(self.protect))}

    def __call__(self, sources: Sequence[str], samples: Sequence[int]) -> list[Paraphrase]:
        kept = NEGATIONS | protected(self.protect)

        def mistyped(text: str, draws: Draws) -> Changed:
            found = words(text)
            places = [w for w in found if w.plain and len(w.text) >= _SHORTEST and w.lower not in kept]
            if not places or all(word.lower in STOP_WORDS for word in found):
                return Changed(text, 0.0)
            count = min(len(places), max(1, round(self.rate * len(found))))
            edits = []
            for index in draws.distinct(len(places), count):
                word = places[index]
                new = _mistyped(word.text, draws)
                if new.lower() not in NEGATIONS:
                    edits.append(Edit(word.start, word.end, new))
            return Changed(edited(text, edits), len(edits) / len(found))

        return per_text(mistyped, self.settings(), sources, samples)


def _mistyped(word: str, draws: Draws) -> str:
    at = 1 + draws.below(len(word) - 2)
    near = NEIGHBOURS[word[at]]
    unlike = [place for place in range(1, len(word) - 2) if word[place] != word[place + 1]]
    match draws.below(4 if unlike else 3):
        case 0:
            return word[:at] + near[draws.below(len(near))] + word[at + 1 :]
        case 1:
            return word[: at + 1] + near[draws.below(len(near))] + word[at + 1 :]
        case 2:
            return word[:at] + word[at + 1 :]
        case _:
            at = unlike[draws.below(len(unlike))]
            return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
