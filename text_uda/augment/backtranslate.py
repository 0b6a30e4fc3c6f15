"""Back-translation: to another language and back, sentence by sentence, with filters that give a reason."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from text_uda.errors import SettingsError
from text_uda.text import change_rate, normalise
from text_uda.translate import Translation, parse
from translation_cache import Paraphrase

VERSION = 1  # of the algorithm: a change of what it makes is a new number

_NUMBER = re.compile(r"\d+(?:[.,:/]\d+)*")
_NEGATION = re.compile(r"(?i)\b(?:not?|nor|none|never|nothing|nobody|nowhere|neither|cannot|without)\b|n['’]t\b")


@dataclass(frozen=True, kw_only=True)
class BackTranslation:
    """Paraphrases by way of a pivot language.

    Source: Sennrich et al. 2016 (arXiv 1511.06709); as an augmentation, Xie et al. 2019 (arXiv 1904.12848), Section
    3.1, who sample both ways at a temperature of 0.8 to 0.9. Where the paper takes the original in place of a bad
    translation, here it is rejected with a reason: a text paired with itself carries no signal.
    """

    translator: str = "apertium:eng-spa"
    """`apertium:PAIR`, or `marian:MODEL,MODEL` (there and back)."""

    temperature: float | None = None
    """Sample both ways (marian) at this temperature; None decodes greedily."""

    seed: int = 0
    """Of the sampling."""

    max_length_ratio: float = 2.0
    """Reject a paraphrase with more than this times the words of its source, or fewer than one over this."""

    def __post_init__(self) -> None:
        if self.max_length_ratio <= 1:
            raise SettingsError(f"max_length_ratio={self.max_length_ratio}: give a number above 1")
        parse(self.translator, temperature=self.temperature)

    @property
    def deterministic(self) -> bool:
        """Is every sample of a text the same?"""
        return self._translators()[0].deterministic

    def settings(self) -> dict[str, Any]:
        there, back = self._translators()
        return {
            "method": "back-translation",
            "version": VERSION,
            "unit": "sentence",
            "there": there.settings(),
            "back": back.settings(),
            "max_length_ratio": self.max_length_ratio,
        } | ({} if self.deterministic else {"seed": self.seed})

    def _translators(self):
        return parse(self.translator, temperature=self.temperature, seed=self.seed)

    def __call__(self, sources: Sequence[str], sample: int) -> list[Paraphrase]:
        there, back = self._translators()
        pivots = there(sources, sample)
        returned = back([pivot.text for pivot in pivots], sample)
        return [self._judge(source, pivot, text) for source, pivot, text in zip(sources, pivots, returned, strict=True)]

    def _judge(self, source: str, pivot: Translation, returned: Translation) -> Paraphrase:
        text = match_case(source, returned.text)
        scores = {
            "change_rate": change_rate(source, text),
            "length_ratio": len(text.split()) / max(1, len(source.split())),
        }
        for way, translation in (("there", pivot), ("back", returned)):
            scores |= {f"{name}_{way}": value for name, value in translation.scores.items()}
        failed = next((part.status for part in (pivot, returned) if part.status != "ok"), None)
        reason = failed or rejection(source, text, max_length_ratio=self.max_length_ratio)
        return Paraphrase(text or None, reason or "ok", pivot.text or None, scores)


def match_case(source: str, text: str) -> str:
    """The first letter as the source has it: engines begin every line with a capital, or none."""
    first = next((letter for letter in source if letter.isalpha()), "")
    place = next((index for index, letter in enumerate(text) if letter.isalpha()), None)
    if not first or place is None or first.isupper() == text[place].isupper():
        return text
    if first.islower() and (text[place : place + 2] == "I " or text[place + 1 : place + 2].isupper()):
        return text  # a pronoun or an acronym keeps its capital
    return text[:place] + (text[place].upper() if first.isupper() else text[place].lower()) + text[place + 1 :]


# --- filters ----------------------------------------------------------------------------------------------------------


def rejection(source: str, text: str, *, max_length_ratio: float) -> str | None:
    """The first reason to reject `text` as a paraphrase of `source`, or None."""
    filters: tuple[tuple[str, Callable[[str, str], bool]], ...] = (
        ("empty", lambda _, text: not any(map(str.isalnum, text))),
        ("unchanged", is_unchanged),
        ("length-ratio", lambda source, text: not_within(source, text, max_length_ratio)),
        ("repetition", has_new_repetition),
        ("numbers", has_other_numbers),
        ("negation", has_other_polarity),
    )
    return next((name for name, rejects in filters if rejects(source, text)), None)


def is_unchanged(source: str, text: str) -> bool:
    """The same words, whatever the punctuation, the case and the spaces."""
    return _words(source) == _words(text)


def not_within(source: str, text: str, ratio: float) -> bool:
    words = (len(_words(text)) + 1) / (len(_words(source)) + 1)  # + 1: two words for one are no sign of a mistake
    return not 1 / ratio <= words <= ratio


def has_new_repetition(source: str, text: str) -> bool:
    """A word three times in a row, or some three words three times, that the source does not have so."""
    return _repeats(_words(text)) and not _repeats(_words(source))


def has_other_numbers(source: str, text: str) -> bool:
    """Digits that were lost, made up or changed."""
    return Counter(_NUMBER.findall(source)) != Counter(_NUMBER.findall(text))


def has_other_polarity(source: str, text: str) -> bool:
    """Negated where the source is not, or the other way about."""
    return bool(_NEGATION.search(source)) != bool(_NEGATION.search(text))


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", normalise(text).lower())


def _repeats(words: list[str]) -> bool:
    in_a_row = any(a == b == c for a, b, c in zip(words, words[1:], words[2:], strict=False))
    return in_a_row or max(Counter(zip(words, words[1:], words[2:], strict=False)).values(), default=0) >= 3
