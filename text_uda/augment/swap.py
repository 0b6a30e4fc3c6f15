"""Random swap: exchanges two words."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from text_uda.augment.word_edit import EditedText, WordEdit, lower_case
from text_uda.augment.words import (
    LIMITING_WORDS,
    STOP_WORDS,
    Edit,
    Word,
    apply_edits,
    negations_of,
    repair_articles,
    with_capital_of,
)
from text_uda.keyed_random import Draws


@dataclass(frozen=True, kw_only=True)
class Swap(WordEdit):
    """Swaps two random words, max(1, round(rate n)) times in a text of n words.

    A word moves at most once, so that no swap undoes another: m words that may change places with each other form
    floor(m / 2) random pairs, and the swapped pairs are a uniform sample of all pairs of the text.

    Source: Wei & Zou 2019 (EDA, arXiv 1901.11196), Section 2, random swap; alpha -> rate. Departures from the paper,
    where the text would be damaged: words swap within a segment that no negation and no end of a clause divides; names
    (and a capitalised first word, which may be one, unless it is a stop word), numbers, contractions, addresses,
    protected words and punctuation stay; the capital of a sentence stays at its start, and articles are adapted. A text
    of stop words alone stays.
    """

    method = "swap"
    version = 2

    rate: float = 0.1
    """Swaps per word, in (0, 1]; at least one per text."""

    @cached_property
    def kept_words(self) -> frozenset[str]:
        return negations_of(self.texts_language) | lower_case(self.protect)

    def edit(self, text: str, words: Sequence[Word], draws: Draws) -> EditedText:
        segments: dict[int, list[int]] = {}
        for index, word in enumerate(words):
            if _movable(word) and word.lowercase not in self.kept_words:
                segments.setdefault(word.segment, []).append(index)
        segment_of_pair = [segment for segment, indices in segments.items() for _ in range(len(indices) // 2)]
        if not segment_of_pair or all(word.lowercase in STOP_WORDS for word in words):
            return EditedText(text, 0.0)
        count = min(len(segment_of_pair), max(1, round(self.rate * len(words))))
        pairs_in = Counter(segment_of_pair[index] for index in draws.distinct(len(segment_of_pair), count))
        edits = []
        for segment, number in pairs_in.items():
            for first, second in _random_pairs(segments[segment], number, draws):
                if words[first].lowercase != words[second].lowercase:
                    edits += [_replace(words[first], words[second]), _replace(words[second], words[first])]
        new_text = apply_edits(text, sorted(edits))
        if self.texts_language == "en":
            new_text = repair_articles(new_text, words)
        return EditedText(new_text, len(edits) / len(words))


def _movable(word: Word) -> bool:
    if not word.editable or (word.negated and word.lowercase in LIMITING_WORDS):
        return False
    return word.text != "I" and (word.text[0].islower() or word.lowercase in STOP_WORDS)


def _random_pairs(indices: list[int], number: int, draws: Draws) -> list[tuple[int, int]]:
    """`number` disjoint pairs: the first entries of a Fisher-Yates shuffle, which stops once they are drawn."""
    for position in range(2 * number):
        drawn = position + draws.below(len(indices) - position)
        indices[position], indices[drawn] = indices[drawn], indices[position]
    return list(zip(indices[: 2 * number : 2], indices[1 : 2 * number : 2], strict=True))


def _replace(old: Word, new: Word) -> Edit:
    """`new` in the place of `old`. A capital belongs to the start of the sentence, so it stays in place."""
    return Edit(old.start, old.end, with_capital_of(old.text, new.lowercase))
