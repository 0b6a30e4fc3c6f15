"""Filters decide which paraphrases are usable, from the two texts alone; changing them needs no new paraphrases."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from text_uda.errors import SettingsError
from text_uda.text.language import in_other_language
from text_uda.text.numbers import has_other_numbers
from text_uda.text.polarity import has_other_polarity
from text_uda.text.sentences import change_rate, normalise
from text_uda.text.spans import find_spans
from translation_cache import Paraphrase

ACCEPTABLE = ("language", "length-ratio", "repetition", "protected", "numbers", "negation")
"""Rejection reasons that `accept` can waive. A text that is unchanged, empty, truncated or failed is never accepted."""
DISSIMILAR = "dissimilar"
"""The status of a paraphrase below `min_similarity`."""
# Scripts without spaces between words: Thai, Lao, Burmese, Khmer, Japanese, Chinese.
_UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
# A word with the marks that combine with its letters, such as the vowel signs of Indic scripts, which \w excludes.
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}](?:[^\W{_UNSPACED}]|[\u0300-\u036f\u0900-\u0dff\u200c\u200d])*")
_LENGTH_RATIO = 2.0
_LOOP = re.compile(r"(.{1,8}?)\1{2,}")  # three or more repetitions in a row
_FAULTY_LOOP = 6  # repetitions from which a loop is a fault


@dataclass(frozen=True, kw_only=True)
class Filters:
    """Gives a paraphrase its status: `ok`, or the first reason to reject it."""

    accept: tuple[str, ...] = ()
    """Use paraphrases that were rejected for this reason; can be repeated. None: their rejections stand."""

    max_length_ratio: float | None = None
    """Largest ratio of the lengths of paraphrase and source, in words. None: 2, as when the cache was filled."""

    min_change: float | None = None
    """Reject a paraphrase that changes less than this share of the words. None: any share."""

    max_change: float | None = None
    """Reject a paraphrase that changes more than this share of the words. None: any share."""

    min_similarity: float | None = None
    """Reject a paraphrase whose meaning is less similar to that of its source: the cosine of their features, at most 1.
    None: any."""

    similarity_encoder: str | None = None
    """Sentence encoder of the similarity. None: minilm-l6."""

    def __post_init__(self) -> None:
        if unknown := set(self.accept) - set(ACCEPTABLE):
            raise SettingsError(f"no filter is called {min(unknown)!r}; choose from {', '.join(ACCEPTABLE)}")
        if self.max_length_ratio is not None and not self.max_length_ratio > 1:
            raise SettingsError(f"max_length_ratio={self.max_length_ratio}: give a number above 1")
        for name, share in (("min_change", self.min_change), ("max_change", self.max_change)):
            if share is not None and not 0 <= share <= 1:
                raise SettingsError(f"{name}={share}: give a share from 0 to 1")
        if self.min_change is not None and self.max_change is not None and self.min_change > self.max_change:
            raise SettingsError(f"min_change={self.min_change} is above max_change={self.max_change}: nothing passes")
        if self.min_similarity is not None and not -1 <= self.min_similarity <= 1:
            raise SettingsError(f"min_similarity={self.min_similarity}: give a number from -1 to 1, such as 0.8")
        if self.similarity_encoder is not None and self.min_similarity is None:
            raise SettingsError("similarity_encoder decides only with min_similarity: give both")

    def too_dissimilar(self, similarities: np.ndarray) -> np.ndarray:
        """Whether each similarity, (N,), is below `min_similarity`: (N,) bool."""
        if self.min_similarity is None:
            return np.zeros(len(similarities), dtype=bool)
        return ~(similarities >= self.min_similarity)  # what is no number is not similar

    def settings(self) -> dict[str, Any]:
        """Everything that decides the statuses, as JSON values.

        With `min_similarity` also a digest of its encoder, which may change under its name; without it, nothing of the
        similarity.

        Raises:
            SettingsError: the encoder of the similarity cannot be opened.
        """
        of_similarity = ("min_similarity", "similarity_encoder")
        fields = asdict(self) | {"accept": sorted(self.accept)}
        fields = {name: value for name, value in fields.items() if value is not None or name not in of_similarity}
        if self.min_similarity is None:
            return fields
        from text_uda.paraphrasing.similarity import PACKAGED_ENCODER, digest_of

        return fields | {"similarity_digest": digest_of(self.similarity_encoder or PACKAGED_ENCODER)}

    def __call__(self, source: str, paraphrase: Paraphrase) -> str:
        """The status under these filters. A failure of the generation (truncated, failed) stays.

        The similarity is judged elsewhere, many paraphrases at a time: see `read_paraphrases`.
        A paraphrase that was `ok` only has to meet the bounds set here: SwitchOut, for example, may change a number.
        """
        text, status = paraphrase.text, paraphrase.status
        if text is None or status not in ("ok", *ACCEPTABLE):
            return status
        if status == "protected" and status not in self.accept:
            return status  # a name that the user protects is lost, of which the two texts do not tell
        if status != "ok" and (reason := self.rejection(source, text)):
            return reason
        if self.max_length_ratio is not None and exceeds_length_ratio(source, text, self.max_length_ratio):
            return "length-ratio"
        change = change_rate(source, text)
        if self.min_change is not None and change < self.min_change:
            return "small-change"
        if self.max_change is not None and change > self.max_change:
            return "large-change"
        return "ok"

    def rejection(self, source: str, text: str) -> str | None:
        """The first reason to reject the translation `text` as a paraphrase of `source`, or None."""
        ratio = _LENGTH_RATIO if self.max_length_ratio is None else self.max_length_ratio
        filters: tuple[tuple[str, Callable[[str, str], bool]], ...] = (
            ("empty", lambda _, text: not any(map(str.isalnum, text))),
            ("unchanged", is_unchanged),
            ("language", in_other_language),
            ("length-ratio", lambda source, text: exceeds_length_ratio(source, text, ratio)),
            ("repetition", has_new_repetition),
            ("protected", lacks_spans),
            ("numbers", has_other_numbers),
            ("negation", has_other_polarity),
        )
        return next((name for name, rejects in filters if name not in self.accept and rejects(source, text)), None)


def is_unchanged(source: str, text: str) -> bool:
    """Whether both have the same words, regardless of punctuation, case and spaces."""
    return normalised_words(source) == normalised_words(text)


def exceeds_length_ratio(source: str, text: str, limit: float) -> bool:
    ratio = (len(normalised_words(text)) + 1) / (len(normalised_words(source)) + 1)  # + 1 tolerates two words for one
    return not 1 / limit <= ratio <= limit


def has_new_repetition(source: str, text: str) -> bool:
    """Whether `text` has repetitions that `source` lacks, as a decoder produces them that finds no end.

    A repetition is one to four words three times in a row, or a sequence of three words three times; or up to eight
    characters six times in a row, in a loop more than twice as long as any of the source.
    """
    new = _repeats(normalised_words(text)) and not _repeats(normalised_words(source))
    return new or _longest_loop(text, _FAULTY_LOOP) > 2 * _longest_loop(source)


def lacks_spans(source: str, text: str) -> bool:
    """Whether `text` lacks or changes a protected span: an address, a placeholder, an emoji, a product name."""
    wanted, present = (Counter(words[start:end] for start, end in find_spans(words)) for words in (source, text))
    missing = {span: count for span, count in wanted.items() if present[span] < count}
    return any(count < missing[span] for span, count in _occurrences(text, missing).items())


def _occurrences(text: str, spans: Collection[str]) -> dict[str, int]:
    """`text.count` of each span, in one pass over the text for each length of a span rather than for each span."""
    counts, ends = dict.fromkeys(spans, 0), dict.fromkeys(spans, 0)
    for length in {len(span) for span in spans}:
        for start in range(len(text) - length + 1):
            part = text[start : start + length]
            if part in counts and ends[part] <= start:
                counts[part] += 1
                ends[part] = start + length
    return counts


@lru_cache(maxsize=16)  # several filters ask for the same two texts
def normalised_words(text: str) -> tuple[str, ...]:
    """The words in lower case; in scripts without spaces, each character is a word."""
    return tuple(_WORD.findall(normalise(text).lower()))


def _repeats(words: Sequence[str]) -> bool:
    in_a_row = any(_repeats_in_a_row(words, length) for length in range(1, 5))
    return in_a_row or max(Counter(zip(words, words[1:], words[2:], strict=False)).values(), default=0) >= 3


def _repeats_in_a_row(words: Sequence[str], length: int) -> bool:
    """Whether `length` words occur three times in a row: 2 * length adjacent words equal the word `length` before."""
    run = 0
    for before, word in zip(words, words[length:], strict=False):
        run = run + 1 if before == word else 0
        if run == 2 * length:
            return True
    return False


def _longest_loop(text: str, min_repetitions: int = 3) -> int:
    """Characters of the longest loop with at least this number of repetitions; white space counts as one space."""
    loops = _LOOP.finditer(" ".join(text.split()))
    return max((len(loop[0]) for loop in loops if len(loop[0]) >= min_repetitions * len(loop[1])), default=0)
