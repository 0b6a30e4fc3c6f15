"""AEDA: punctuation marks put in before words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from text_uda.augment.per_text import Changed, per_text
from text_uda.augment.words import STOP_WORDS, Edit, edited, words
from text_uda.keyed_random import Draws
from translation_cache import Paraphrase

VERSION = 1  # of the algorithm: a change of what it makes is a new number

MARKS = (".", ";", "?", ":", "!", ",")


@dataclass(frozen=True, kw_only=True)
class AEDA:
    """Marks of . ; ? : ! , before random words, each followed by a space; their number is one of 1 to a third of n.

    Source: Karimi et al. 2021, "AEDA: An Easier Data Augmentation Technique" (arXiv 2108.13230), Section 3: number,
    places (without replacement) and marks are drawn evenly. It departs from the paper in that n counts the words, not
    what spaces divide, that no mark comes within or before a name, a contraction, an address or a number, nor between a
    negation and what it negates, and that a text of stop words alone stays.
    """

    seed: int = 0

    def settings(self) -> dict[str, Any]:
        return {"method": "aeda", "version": VERSION, "unit": "text", "seed": self.seed}

    def __call__(self, sources: Sequence[str], samples: Sequence[int]) -> list[Paraphrase]:
        def marked(text: str, draws: Draws) -> Changed:
            found = words(text)
            places = [
                word.start
                for word in found
                if word.plain and not word.negated and (word.start == 0 or text[word.start - 1].isspace())
            ]
            if not places or all(word.lower in STOP_WORDS for word in found):
                return Changed(text, 0.0)
            count = min(len(places), 1 + draws.below(max(1, len(found) // 3)))
            edits = []
            for index in draws.distinct(len(places), count):
                start = places[index]
                edits.append(Edit(start, start, MARKS[draws.below(len(MARKS))] + " "))
            return Changed(edited(text, edits), count / (len(found) + count))

        return per_text(marked, self.settings(), sources, samples)
