"""Random swap: two words exchange their places."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from text_uda.augment.per_text import Changed, check_protect, check_rate, per_text, protected
from text_uda.augment.words import (
    LIMITING,
    NEGATIONS,
    STOP_WORDS,
    Edit,
    Word,
    edited,
    in_case_of,
    with_articles_of,
    words,
)
from text_uda.keyed_random import Draws
from translation_cache import Paraphrase

VERSION = 1  # of the algorithm: a change of what it makes is a new number


@dataclass(frozen=True, kw_only=True)
class Swap:
    """Two random words exchange places, max(1, round(rate n)) times in a text of n words.

    A word moves once at most, so that no swap undoes another: m words that may change places with each other make
    floor(m / 2) pairs at random, and of all pairs so many are swapped, all equally likely.

    Source: Wei & Zou 2019 (EDA, arXiv 1901.11196), Section 2, random swap; alpha -> rate. It departs from the paper
    where the text would be damaged: words change places within a stretch, which no negation and no end of a clause
    divides; names (and a first word with a capital, which may be one, unless it is a stop word), numbers,
    contractions, addresses, protected words and punctuation stay; the capital of a sentence stays at its beginning,
    and articles are mended. A text of stop words alone stays.
    """

    rate: float = 0.1
    """Swaps for each word, in (0, 1]; at least one a text."""

    seed: int = 0

    protect: tuple[str, ...] = ()
    """Words to leave alone, such as those that carry the label; each form by itself, in any case."""

    def __post_init__(self) -> None:
        check_rate(self.rate)
        check_protect(self.protect)

    def settings(self) -> dict[str, Any]:
        named = {"method": "swap", "version": VERSION, "unit": "text"}
        return named | {"rate": self.rate, "seed": self.seed, "protect": sorted(protected(self.protect))}

    def __call__(self, sources: Sequence[str], samples: Sequence[int]) -> list[Paraphrase]:
        kept = NEGATIONS | protected(self.protect)

        def swapped(text: str, draws: Draws) -> Changed:
            found = words(text)
            stretches: dict[int, list[int]] = {}
            for place, word in enumerate(found):
                if _movable(word) and word.lower not in kept:
                    stretches.setdefault(word.stretch, []).append(place)
            pairs = [stretch for stretch, places in stretches.items() for _ in range(len(places) // 2)]
            if not pairs or all(word.lower in STOP_WORDS for word in found):
                return Changed(text, 0.0)
            count = min(len(pairs), max(1, round(self.rate * len(found))))
            chosen = Counter(pairs[index] for index in draws.distinct(len(pairs), count))
            edits = []
            for stretch, number in chosen.items():
                for one, other in _pairs(stretches[stretch], number, draws):
                    if found[one].lower != found[other].lower:
                        edits += [_put(found[one], found[other]), _put(found[other], found[one])]
            return Changed(with_articles_of(edited(text, sorted(edits)), found), len(edits) / len(found))

        return per_text(swapped, self.settings(), sources, samples)


def _movable(word: Word) -> bool:
    if not word.plain or (word.negated and word.lower in LIMITING):
        return False
    return word.text != "I" and (word.text[0].islower() or word.lower in STOP_WORDS)


def _pairs(places: list[int], number: int, draws: Draws) -> list[tuple[int, int]]:
    """So many disjoint pairs of the places: the first of a shuffle, of which no more is done than that takes."""
    for at in range(2 * number):
        drawn = at + draws.below(len(places) - at)
        places[at], places[drawn] = places[drawn], places[at]
    return list(zip(places[: 2 * number : 2], places[1 : 2 * number : 2], strict=True))


def _put(place: Word, word: Word) -> Edit:
    """The word in the place of another: a capital there says that a sentence begins, one of its own said the same."""
    return Edit(place.start, place.end, in_case_of(place.text, word.lower))
