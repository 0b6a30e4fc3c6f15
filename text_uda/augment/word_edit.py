"""The base of the augmentations that edit the words of one text at a time."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

from text_uda.augment.words import Word, find_words, words_in
from text_uda.errors import SettingsError
from text_uda.keyed_random import Draws, Key
from text_uda.text.language import language_versions, two_letters
from translation_cache import Job, Paraphrase, fingerprint


class EditedText(NamedTuple):
    text: str
    change_rate: float
    """Share of the words that changed, 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class WordEdit(Job):
    """A subclass names its method and version and defines `edit`; it adds its further fields to `settings`."""

    method: ClassVar[str]
    version: ClassVar[int]
    """Of the algorithm. A change of the output needs a new version."""

    rate: float = 0.1
    """Share of the words to edit, in (0, 1]."""

    seed: int = 0

    protect: tuple[str, ...] = ()
    """Words to leave alone, such as those that carry the label; list each form, in any case."""

    language: str = "en"
    """Of the texts, such as de or deu, or `any`; sentences in another one stay. Negations are known in ca, de, en, es,
    fr, it, nl and pt: list those of another language in `protect`."""

    def __post_init__(self) -> None:
        check_rate(self.rate)
        check_protect(self.protect)
        two_letters(self.language)

    @abstractmethod
    def edit(self, text: str, words: Sequence[Word], draws: Draws) -> EditedText:
        """The text after the edits that the draws select."""

    @property
    def texts_language(self) -> str:
        """`language` by its two-letter code, or `any`."""
        return two_letters(self.language)

    @cached_property
    def kept_words(self) -> frozenset[str]:
        """Words that stay as they are, in lower case."""
        return lower_case(self.protect)

    def settings(self) -> dict[str, Any]:
        """Raises MissingPartError if the method needs WordNet and there is none."""
        fields = {"rate": self.rate, "seed": self.seed, "protect": sorted(lower_case(self.protect))}
        if self.texts_language != type(self).language:  # the default
            fields["language"] = self.texts_language
        fields |= language_versions(self.texts_language)
        return {"method": self.method, "version": self.version, "unit": "text"} | fields

    def __call__(self, sources: Sequence[str], samples: Sequence[int]) -> list[Paraphrase]:
        """Raises MissingPartError if the method needs WordNet and there is none."""
        return edit_texts(self.edit, self.settings(), sources, samples, language=self.texts_language)


def edit_texts(
    edit: Callable[[str, Sequence[Word], Draws], EditedText],
    settings: Mapping[str, Any],
    sources: Sequence[str],
    samples: Sequence[int],
    *,
    language: str | None = None,
) -> list[Paraphrase]:
    """Edit each source with draws whose key is (settings, source, sample).

    A text that the edit does not change gets the status `unchanged`: training never pairs a text with itself. One in
    another language gets `source-language`.
    """
    key = Key(fingerprint(settings))
    paraphrases = []
    for source, sample in zip(sources, samples, strict=True):
        words = find_words(source) if language is None else words_in(source, language)
        if words is None:
            paraphrases.append(reject_language(source))
            continue
        text, change_rate = edit(source, words, key.draws(source, sample))
        if text == source:
            paraphrases.append(Paraphrase(source, "unchanged", scores={"change_rate": 0.0}))
        else:
            paraphrases.append(Paraphrase(text, scores={"change_rate": change_rate}))
    return paraphrases


def reject_language(source: str) -> Paraphrase:
    """The paraphrase of a text in another language than the method's: the text, rejected."""
    return Paraphrase(source, "source-language", scores={"change_rate": 0.0})


def check_rate(rate: float) -> None:
    """Raise SettingsError unless 0 < rate <= 1."""
    if not 0 < rate <= 1:
        raise SettingsError(f"rate={rate}: give a share of the words above 0, at most 1")


def check_protect(protect: object) -> None:
    """Raise SettingsError unless `protect` is a tuple; a string would protect its letters."""
    if not isinstance(protect, tuple):
        raise SettingsError(f"protect={protect!r}: give a tuple of words, such as ('good', 'bad')")


def lower_case(words: tuple[str, ...]) -> frozenset[str]:
    return frozenset(word.lower() for word in words)
