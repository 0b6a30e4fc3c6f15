"""Synonym replacement: WordNet's synonyms of the frequent sense, inflected as the word they replace."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from text_uda.augment.lexicon import Entry, Phrase, context_of, entries, versions
from text_uda.augment.per_text import Changed, check_protect, check_rate, per_text, protected
from text_uda.augment.words import Edit, Word, edited, in_case_of, with_articles, words
from text_uda.errors import SettingsError
from text_uda.keyed_random import Draws
from translation_cache import Paraphrase

VERSION = 2  # of the algorithm: a change of what it makes is a new number

PartOfSpeech = Literal["noun", "verb", "adjective", "adverb"]
PARTS_OF_SPEECH: tuple[PartOfSpeech, ...] = get_args(PartOfSpeech)


@dataclass(frozen=True, kw_only=True)
class Synonym:
    """Replaces a share of the words by synonyms; every byte that is not a replaced word stays.

    With n words, of which m have a synonym, min(m, max(1, round(rate n))) are replaced, all sets of them equally
    likely; a synonym s is drawn with p(s) ~ count(s in this sense) + 1/2, of the texts that WordNet's makers tagged.

    Source: Zhang et al. 2015 (arXiv 1509.01626), Section 2.4, take WordNet-like synonyms by the frequency of their
    sense; Wei & Zou 2019 (EDA, arXiv 1901.11196), Section 2, take a share of the words (their alpha is `rate`). Here
    a synonym is taken from the word's frequent sense only, has to use that sense frequently itself, and is inflected
    like the word: both papers replace lemmas, which leaves *he purchase it*. What WordNet calls an antonym, or similar
    to one, is never offered. Stop words, negations, names, numbers, protected words, parts of a phrase that WordNet
    knows (high school, give up), and words that have an opposite in the scope of a negation stay.
    """

    rate: float = 0.3
    """Share of the words to replace, in (0, 1]; as many as have a synonym, at least one where there is any."""

    seed: int = 0

    protect: tuple[str, ...] = ()
    """Words to leave alone, such as those that carry the label; each form by itself, in any case."""

    part_of_speech: tuple[PartOfSpeech, ...] = PARTS_OF_SPEECH
    """Which words may be replaced, by their part of speech."""

    def __post_init__(self) -> None:
        check_rate(self.rate)
        check_protect(self.protect)
        known = ", ".join(PARTS_OF_SPEECH)
        if not isinstance(self.part_of_speech, tuple) or not self.part_of_speech:
            raise SettingsError(f"part_of_speech={self.part_of_speech!r}: give a tuple of one or more of {known}")
        for part in self.part_of_speech:
            if part not in PARTS_OF_SPEECH:
                raise SettingsError(f"part_of_speech: {part!r} is unknown; choose from {known}")

    def settings(self) -> dict[str, Any]:
        """Raises MissingPartError where there is no WordNet."""
        return {
            "method": "synonym",
            "version": VERSION,
            "unit": "text",
            **versions(),
            "rate": self.rate,
            "seed": self.seed,
            "protect": sorted(protected(self.protect)),
            "part_of_speech": [part for part in PARTS_OF_SPEECH if part in self.part_of_speech],
        }

    def __call__(self, sources: Sequence[str], samples: Sequence[int]) -> list[Paraphrase]:
        """Raises MissingPartError where there is no WordNet."""
        kept = protected(self.protect)
        parts = frozenset(self.part_of_speech)

        def replaced(text: str, draws: Draws) -> Changed:
            found = words(text)
            places: list[tuple[int, Entry]] = []
            for place, word in enumerate(found):
                if not word.plain or not (known := entries(word.lower)):
                    continue
                entry = known.get(context_of(word.before))
                if (
                    entry is not None
                    and entry.part in parts
                    and word.lower not in kept
                    and not (entry.polar and word.negated)
                    and not in_phrase(found, place, entry)
                ):
                    places.append((place, entry))
            if not places:
                return Changed(text, 0.0)
            count = min(len(places), max(1, round(self.rate * len(found))))
            edits: list[Edit] = []
            beside: list[Word] = []  # the replaced words, each after the one before it: all that articles depend on
            for index in draws.distinct(len(places), count):
                place, entry = places[index]
                word = found[place]
                new = entry.forms[draws.weighted(entry.up_to)]
                edits.append(Edit(word.start, word.end, in_case_of(word.text, new)))
                beside += [each for each in found[max(0, place - 1) : place + 1] if each not in beside[-1:]]
            return Changed(edited(text, with_articles(text, beside, edits)), count / len(found))

        return per_text(replaced, self.settings(), sources, samples)


def in_phrase(found: Sequence[Word], place: int, entry: Entry) -> bool:
    """Whether a word stands in a phrase that is an entry of its own, such as "high school", or has its particle."""
    phrases = entry.preceding.get(found[place].before, ())
    if place + 1 < len(found):
        after = found[place + 1].lower
        phrases += entry.following.get(after, ()) + entry.following.get(after.removesuffix("s"), ())
    if phrases and any(_stands(found, place, phrase) for phrase in phrases):
        return True
    if not entry.particles:
        return False
    stretch = found[place].stretch
    return any(each.lower in entry.particles and each.stretch == stretch for each in found[place + 1 : place + 4])


def _stands(found: Sequence[Word], place: int, phrase: Phrase) -> bool:
    """Whether the words around are the phrase; a plural of its last one counts, and any form of the word itself."""
    first = place - phrase.at
    there = found[max(0, first) : first + len(phrase.words)]
    if len(there) < len(phrase.words) or there[0].stretch != there[-1].stretch:
        return False
    for at, (word, expected) in enumerate(zip(there, phrase.words, strict=True)):
        if at != phrase.at and word.lower != expected and word.lower.removesuffix("s") != expected:
            return False
    return True
