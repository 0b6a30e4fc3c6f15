"""Random deletion: words left out."""

import re
from collections.abc import Iterator, Sequence
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
    is_negation,
    with_articles_of,
    words,
)
from text_uda.keyed_random import Draws
from translation_cache import Paraphrase

VERSION = 1  # of the algorithm: a change of what it makes is a new number

_LINE_END = re.compile(r"[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_OPENING = frozenset('([{"“„«¿¡')
_CLOSING = frozenset('.,;:!?…)]}"”»')


@dataclass(frozen=True, kw_only=True)
class Deletion:
    """Each word left out with probability `rate`, by itself, so that a short text may stay as it is.

    The white space before a word goes with it; where there is none, or it has the end of a line in it, the white space
    after it. A word that has neither stays, and so do the ends of lines and what touches punctuation on both sides.

    Source: Wei & Zou 2019 (EDA, arXiv 1901.11196), Section 2, random deletion; p -> rate. It departs from the paper
    where the text would be damaged: negations, names, numbers, contractions, addresses, protected words and punctuation
    stay, a sentence keeps one word at least and the capital it begins with, articles are mended, and a text of stop
    words alone stays. A word that limits a negation (not only) stays, and so does the one behind a negation.
    """

    rate: float = 0.1
    """Probability for each word, in (0, 1]."""

    seed: int = 0

    protect: tuple[str, ...] = ()
    """Words to leave alone, such as those that carry the label; each form by itself, in any case."""

    def __post_init__(self) -> None:
        check_rate(self.rate)
        check_protect(self.protect)

    def settings(self) -> dict[str, Any]:
        named = {"method": "deletion", "version": VERSION, "unit": "text"}
        return named | {"rate": self.rate, "seed": self.seed, "protect": sorted(protected(self.protect))}

    def __call__(self, sources: Sequence[str], samples: Sequence[int]) -> list[Paraphrase]:
        kept = NEGATIONS | protected(self.protect)

        def shortened(text: str, draws: Draws) -> Changed:
            found = words(text)
            if all(word.lower in STOP_WORDS for word in found):
                return Changed(text, 0.0)
            gone: dict[int, Edit] = {}
            end = 0  # of what is gone
            for place, word in enumerate(found):
                limiting = word.negated and word.lower in LIMITING
                denied = is_negation(word.before)  # without it what comes next would be
                if not word.plain or word.lower in kept or limiting or denied or draws.uniform() >= self.rate:
                    continue
                span = _with_space(text, word, end)
                if span is not None:
                    gone[place] = span
                    end = span.end
            capitals = [edit for sentence in _sentences(found) for edit in _begun(found, sentence, gone, draws)]
            made = edited(text, sorted([*gone.values(), *capitals]))
            return Changed(with_articles_of(made, found), len(gone) / len(found))

        return per_text(shortened, self.settings(), sources, samples)


def _with_space(text: str, word: Word, end: int) -> Edit | None:
    """The word and the white space that goes with it, of which all before `end` is gone; None where there is none."""
    first, last = word.start, word.end
    while first > end and text[first - 1].isspace():
        first -= 1
    while last < len(text) and text[last].isspace():
        last += 1
    before, after = text[first : word.start], text[word.end : last]
    if (
        0 < first < word.start
        and not _LINE_END.search(before)
        and (after or last == len(text) or text[last] in _CLOSING)
    ):
        return Edit(first, word.end, "")
    beginning = word.start == 0 or text[word.start - 1].isspace() or text[word.start - 1] in _OPENING
    if word.end < last < len(text) and not _LINE_END.search(after) and beginning:
        return Edit(word.start, last, "")
    return None


def _sentences(found: Sequence[Word]) -> Iterator[range]:
    """The places of the words of each sentence."""
    starts = [place for place, word in enumerate(found) if word.begins]
    return map(range, starts, [*starts[1:], len(found)])


def _begun(found: Sequence[Word], sentence: range, gone: dict[int, Edit], draws: Draws) -> list[Edit]:
    """The capital of a sentence that has lost its first word, which goes to the next.

    What is gone is taken back: one word of a sentence that has lost them all, the first one where the next is no word
    that may be edited.
    """
    if all(place in gone for place in sentence):
        del gone[sentence[draws.below(len(sentence))]]
    first = found[sentence[0]]
    if sentence[0] not in gone or first.text[0].islower():
        return []
    heir = found[next(place for place in sentence if place not in gone)]
    if heir.plain:
        return [Edit(heir.start, heir.start + 1, heir.text[0].upper())]
    del gone[sentence[0]]
    return []
