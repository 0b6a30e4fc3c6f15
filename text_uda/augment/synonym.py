"""Synonym replacement: WordNet's synonyms of the frequent sense, inflected as the word they replace."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from text_uda.augment.lexicon import Candidates, Phrase, candidates_by_context, context_after, lexicon_versions
from text_uda.augment.multilingual_lexicon import candidates_in
from text_uda.augment.word_edit import EditedText, WordEdit
from text_uda.augment.words import Edit, Word, may_be_name, replace_words, with_capital_of
from text_uda.errors import SettingsError
from text_uda.keyed_random import Draws
from text_uda.text.language import ANY, two_letters
from text_uda.text.open_wordnet import open_wordnet

PartOfSpeech = Literal["noun", "verb", "adjective", "adverb"]
PARTS_OF_SPEECH: tuple[PartOfSpeech, ...] = get_args(PartOfSpeech)


@dataclass(frozen=True, kw_only=True)
class Synonym(WordEdit):
    """Replaces a share of the words by synonyms; every other byte stays.

    Of n words, m have a synonym; min(m, max(1, round(rate n))) of them are replaced, a uniform sample. A synonym s is
    drawn with p(s) ~ count(s in this sense) + 1/2, counted in the texts that WordNet's authors tagged.

    Source: Zhang et al. 2015 (arXiv 1509.01626), Section 2.4, rank WordNet-like synonyms by the frequency of their
    sense; Wei & Zou 2019 (EDA, arXiv 1901.11196), Section 2, replace a share of the words (their alpha is `rate`). Both
    replace lemmas, which gives *he purchase it*. Here a synonym comes from the word's frequent sense only, has to use
    that sense frequently itself, and has the inflection of the word. WordNet's antonyms, and words similar to one, are
    never candidates. Stop words, negations, names, numbers, protected words, parts of a phrase in WordNet (high school,
    give up), and words with an antonym in the scope of a negation stay.
    """

    method = "synonym"
    version = 3

    rate: float = 0.3
    """Share of the words to replace, in (0, 1]; limited to the words with a synonym, at least one if there is any."""

    part_of_speech: tuple[PartOfSpeech, ...] = PARTS_OF_SPEECH
    """The parts of speech to replace."""

    language: str = "en"
    """Of the texts, such as es or spa; sentences in another one stay. Not for `any`; other languages than English need
    their Open Multilingual WordNet."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_lexicon_language(self.language)
        choices = ", ".join(PARTS_OF_SPEECH)
        if not isinstance(self.part_of_speech, tuple) or not self.part_of_speech:
            raise SettingsError(f"part_of_speech={self.part_of_speech!r}: give a tuple of one or more of {choices}")
        for part in self.part_of_speech:
            if part not in PARTS_OF_SPEECH:
                raise SettingsError(f"part_of_speech: {part!r} is unknown; choose from {choices}")

    def settings(self) -> dict[str, Any]:
        parts = [part for part in PARTS_OF_SPEECH if part in self.part_of_speech]
        return super().settings() | versions_of(self.texts_language) | {"part_of_speech": parts}

    def edit(self, text: str, words: Sequence[Word], draws: Draws) -> EditedText:
        language = self.texts_language
        replaceable: list[tuple[int, Candidates]] = []
        for index, word in enumerate(words):
            candidates = candidates_at(words, index, language)
            if (
                candidates is not None
                and candidates.part_of_speech in self.part_of_speech
                and word.lowercase not in self.kept_words
            ):
                replaceable.append((index, candidates))
        if not replaceable:
            return EditedText(text, 0.0)
        count = min(len(replaceable), max(1, round(self.rate * len(words))))
        edits: list[Edit] = []
        context: list[Word] = []  # the replaced words and the word before each: all that articles depend on
        for drawn in draws.distinct(len(replaceable), count):
            index, candidates = replaceable[drawn]
            word = words[index]
            synonym = candidates.forms[draws.weighted(candidates.cumulative_weights)]
            edits.append(Edit(word.start, word.end, with_capital_of(word.text, synonym)))
            context += [beside for beside in words[max(0, index - 1) : index + 1] if beside not in context[-1:]]
        return EditedText(replace_words(text, context, edits), count / len(words))


# What follows a plural that starts a sentence, so that it is no name: Movies are fun.
_AFTER_PLURALS = frozenset("are were have do aren't weren't haven't don't".split())


def candidates_at(words: Sequence[Word], index: int, language: str) -> Candidates | None:
    """The synonyms that can replace a word in its context, None if there are none.

    A first word with a capital has none, because it may be a name, unless it is an adverb in -ly or a plural before a
    verb in the plural. A word with an antonym has none in the scope of a negation: beside it, a near synonym may mean
    something else.
    """
    word = words[index]
    if language != "en":
        return candidates_in(language, words, index)
    if not word.editable or not (by_context := candidates_by_context(word.lowercase)):
        return None
    candidates = by_context.get(context_after(word.previous))
    if candidates is None or (candidates.has_antonym and word.negated) or _is_in_phrase(words, index, candidates):
        return None
    if may_be_name(word) and not _is_plural_subject(words, index, candidates):
        return None
    return candidates


def check_lexicon_language(language: str) -> None:
    """Raise SettingsError for `any`: a synonym belongs to a language."""
    if two_letters(language) == ANY:
        raise SettingsError(f"language={language!r}: name one language, such as en or es, whose synonyms to use")


def versions_of(language: str) -> dict[str, str]:
    """The language, if it is not English, and the versions of the data that decide the candidates."""
    if language == "en":
        return lexicon_versions()
    words = open_wordnet(language).digest
    return {"language": language, "open_wordnet": words, "wordnet": lexicon_versions()["wordnet"]}


def _is_plural_subject(words: Sequence[Word], index: int, candidates: Candidates) -> bool:
    following = words[index + 1].lowercase if index + 1 < len(words) else ""
    is_plural = candidates.part_of_speech == "noun" and words[index].lowercase.endswith("s")
    return is_plural and following in _AFTER_PLURALS


def _is_in_phrase(words: Sequence[Word], index: int, candidates: Candidates) -> bool:
    """Whether a word is part of a phrase of WordNet, such as "high school", or a verb with its particle nearby."""
    phrases = candidates.phrases_by_previous.get(words[index].previous, ())
    if index + 1 < len(words):
        following = words[index + 1].lowercase
        phrases += candidates.phrases_by_next.get(following, ())
        phrases += candidates.phrases_by_next.get(following.removesuffix("s"), ())
    if phrases and any(_matches(words, index, phrase) for phrase in phrases):
        return True
    if not candidates.particles:
        return False
    segment = words[index].segment
    return any(
        word.lowercase in candidates.particles and word.segment == segment for word in words[index + 1 : index + 4]
    )


def _matches(words: Sequence[Word], index: int, phrase: Phrase) -> bool:
    """Whether the words around `index` are the phrase; they may end in a plural s, the word itself may be inflected."""
    start = index - phrase.position
    window = words[max(0, start) : start + len(phrase.words)]
    if len(window) < len(phrase.words) or window[0].segment != window[-1].segment:
        return False
    for position, (word, expected) in enumerate(zip(window, phrase.words, strict=True)):
        if position == phrase.position or expected in (word.lowercase, word.lowercase.removesuffix("s")):
            continue
        return False
    return True
