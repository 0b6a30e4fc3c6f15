"""AEDA: inserts punctuation marks before words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from text_uda.augment.word_edit import EditedText, edit_texts
from text_uda.augment.words import STOP_WORDS, Edit, Word, apply_edits
from text_uda.keyed_random import Draws
from translation_cache import Job, Paraphrase

MARKS = (".", ";", "?", ":", "!", ",")


@dataclass(frozen=True, kw_only=True)
class AEDA(Job):
    """Inserts one of . ; ? : ! , and a space before random words: 1 to n / 3 marks in a text of n words.

    Source: Karimi et al. 2021, "AEDA: An Easier Data Augmentation Technique" (arXiv 2108.13230), Section 3: number,
    places (without replacement) and marks are uniform. Departures from the paper: n counts words, not the parts between
    spaces; no mark comes before or within a name, a contraction, an address or a number, nor between a negation and
    what it negates; a text of stop words alone stays.
    """

    seed: int = 0

    def settings(self) -> dict[str, Any]:
        return {"method": "aeda", "version": 2, "unit": "text", "seed": self.seed}

    def __call__(self, sources: Sequence[str], samples: Sequence[int]) -> list[Paraphrase]:
        return edit_texts(insert_marks, self.settings(), sources, samples)


def insert_marks(text: str, words: Sequence[Word], draws: Draws) -> EditedText:
    starts = [
        word.start
        for word in words
        if word.editable and not word.negated and (word.start == 0 or text[word.start - 1].isspace())
    ]
    if not starts or all(word.lowercase in STOP_WORDS for word in words):
        return EditedText(text, 0.0)
    count = min(len(starts), 1 + draws.below(max(1, len(words) // 3)))
    edits = []
    for index in draws.distinct(len(starts), count):
        punctuation = MARKS[draws.below(len(MARKS))]
        edits.append(Edit(starts[index], starts[index], punctuation + " "))
    return EditedText(apply_edits(text, edits), count / (len(words) + count))
