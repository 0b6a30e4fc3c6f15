"""Filters: which paraphrases are usable, judged by their texts alone; set anew, they need no new paraphrases."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from text_uda.errors import SettingsError
from text_uda.text.language import in_other_language
from text_uda.text.sentences import change_rate, normalise
from text_uda.text.spans import find_spans
from translation_cache import Paraphrase

_NUMBER = re.compile(r"\d+(?:[.,:/]\d+)*")
_NEGATION = re.compile(
    r"(?i)\b(?:not?|nor|none|never|nothing|nobody|nowhere|neither|cannot|without)\b"
    r"|n ?['’`´] ?t\b|\b(?:ai|are|ca|could|did|do|does|had|has|have|is|must|need|should|was|were|wo|would)nt\b"
)
ACCEPTABLE = ("language", "length-ratio", "repetition", "protected", "numbers", "negation")
"""Reasons that somebody may not mind. A text that is unchanged, empty, truncated or failed is never a paraphrase."""
# Scripts that have no spaces between words: Thai, Lao, Burmese, Khmer, Japanese, Chinese.
_UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
# A word with the marks that combine with its letters, such as the vowel signs of Indic scripts, which are no \w.
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}](?:[^\W{_UNSPACED}]|[\u0300-\u036f\u0900-\u0dff\u200c\u200d])*")
_LENGTH_RATIO = 2.0
_LOOP = re.compile(r"(.{1,8}?)\1{2,}")  # what stands three times or more in a row
_LONG_LOOP = 6  # times, from which it is a fault


@dataclass(frozen=True, kw_only=True)
class Filters:
    """The status of a paraphrase: `ok`, or the first reason to reject it."""

    accept: tuple[str, ...] = ()
    """Of ACCEPTABLE: what is no reason here."""

    max_length_ratio: float | None = None
    """Words of the paraphrase over words of its source, or the other way about; None is as it was judged (2)."""

    min_change: float | None = None
    """Least share of words changed, 0 to 1; below is `small-change`."""

    max_change: float | None = None
    """Largest share of words changed, 0 to 1; above is `large-change`."""

    def __post_init__(self) -> None:
        if strange := set(self.accept) - set(ACCEPTABLE):
            raise SettingsError(f"no filter is called {sorted(strange)[0]!r}; there are: {', '.join(ACCEPTABLE)}")
        if self.max_length_ratio is not None and not self.max_length_ratio > 1:
            raise SettingsError(f"max_length_ratio={self.max_length_ratio}: give a number above 1")
        for name in ("min_change", "max_change"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise SettingsError(f"{name}={value}: give a share from 0 to 1")
        if self.min_change is not None and self.max_change is not None and self.min_change > self.max_change:
            raise SettingsError(f"min_change={self.min_change} is above max_change={self.max_change}: nothing is left")

    def __call__(self, source: str, made: Paraphrase) -> str:
        """The status of `made`. What its maker found wrong (truncated, failed) stays wrong.

        A paraphrase that was `ok` is only held to what is asked for here: SwitchOut, say, may change a number.
        """
        if made.text is None or made.status not in ("ok", *ACCEPTABLE):
            return made.status
        if made.status != "ok" and (reason := self.rejection(source, made.text)):
            return reason
        if self.max_length_ratio is not None and not_within(source, made.text, self.max_length_ratio):
            return "length-ratio"
        change = change_rate(source, made.text)
        if self.min_change is not None and change < self.min_change:
            return "small-change"
        if self.max_change is not None and change > self.max_change:
            return "large-change"
        return "ok"

    def rejection(self, source: str, text: str) -> str | None:
        """The first reason to reject a translation `text` as a paraphrase of `source`, or None."""
        ratio = _LENGTH_RATIO if self.max_length_ratio is None else self.max_length_ratio
        filters: tuple[tuple[str, Callable[[str, str], bool]], ...] = (
            ("empty", lambda _, text: not any(map(str.isalnum, text))),
            ("unchanged", is_unchanged),
            ("language", in_other_language),
            ("length-ratio", lambda source, text: not_within(source, text, ratio)),
            ("repetition", has_new_repetition),
            ("protected", lacks_spans),
            ("numbers", has_other_numbers),
            ("negation", has_other_polarity),
        )
        return next((name for name, rejects in filters if name not in self.accept and rejects(source, text)), None)


def is_unchanged(source: str, text: str) -> bool:
    """The same words, whatever the punctuation, the case and the spaces."""
    return words(source) == words(text)


def not_within(source: str, text: str, ratio: float) -> bool:
    longer = (len(words(text)) + 1) / (len(words(source)) + 1)  # + 1: two words for one are no sign of a mistake
    return not 1 / ratio <= longer <= ratio


def has_new_repetition(source: str, text: str) -> bool:
    """Repetitions that the source does not have, as translation models make them when they do not find the end.

    One to four words three times in a row, or some three words three times; or up to eight characters six times in a
    row, in a loop that is more than twice as long as any of the source.
    """
    repeats = _repeats(words(text)) and not _repeats(words(source))
    return repeats or _longest_loop(text, _LONG_LOOP) > 2 * _longest_loop(source)


def lacks_spans(source: str, text: str) -> bool:
    """Something was lost or changed that must not be: an address, a placeholder, an emoji, a product's name."""
    spans = Counter(source[start:end] for start, end in find_spans(source))
    return any(text.count(span) < times for span, times in spans.items())


def has_other_numbers(source: str, text: str) -> bool:
    """Digits that were lost, made up or changed."""
    return Counter(_NUMBER.findall(source)) != Counter(_NUMBER.findall(text))


def has_other_polarity(source: str, text: str) -> bool:
    """Negated where the source is not, or the other way about."""
    return bool(_NEGATION.search(source)) != bool(_NEGATION.search(text))


@lru_cache(maxsize=16)  # each filter asks for those of the same two texts
def words(text: str) -> tuple[str, ...]:
    """In lower case; where a script has no spaces between them, each character is one."""
    return tuple(_WORD.findall(normalise(text).lower()))


def _repeats(said: Sequence[str]) -> bool:
    in_a_row = any(_in_a_row(said, length) for length in range(1, 5))
    return in_a_row or max(Counter(zip(said, said[1:], said[2:], strict=False)).values(), default=0) >= 3


def _in_a_row(said: Sequence[str], length: int) -> bool:
    """Some `length` words three times: as many words in a row twice over are what stands `length` before them."""
    run = 0
    for before, word in zip(said, said[length:], strict=False):
        run = run + 1 if before == word else 0
        if run == 2 * length:
            return True
    return False


def _longest_loop(text: str, times: int = 3) -> int:
    """Characters of the longest loop of `times` or more; spaces count as one."""
    loops = _LOOP.finditer(" ".join(text.split()))
    return max((len(loop[0]) for loop in loops if len(loop[0]) >= times * len(loop[1])), default=0)
