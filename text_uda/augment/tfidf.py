"""TF-IDF replacement: replaces the uninformative words of a text by uninformative words of the corpus."""

import hashlib
import math
from bisect import bisect
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np

from text_uda.augment.word_edit import EditedText, WordEdit, lower_case
from text_uda.augment.words import (
    Edit,
    Word,
    article_before,
    find_words,
    may_be_name,
    negations_of,
    replace_words,
    with_capital_of,
    words_in,
)
from text_uda.errors import SettingsError
from text_uda.keyed_random import Draws
from text_uda.text.language import two_letters


def term(word: Word) -> str:
    """The unit that is counted: the word in lower case, and `a` for `an`, which the next word decides."""
    return "a" if word.lowercase == "an" else word.lowercase


@dataclass(frozen=True, eq=False)
class Statistics:
    """Word counts of a corpus. Two are equal if their digests are."""

    words: tuple[str, ...]
    """The W distinct terms (see `term`), sorted."""
    document_frequency: np.ndarray  # (W,) int64: texts that contain the word
    term_frequency: np.ndarray  # (W,) int64: occurrences
    in_prose: np.ndarray
    """(W,) bool: more often lower-case prose than part of a name, an address, a contraction or a compound. Only such
    words are replaced and drawn."""
    texts: int
    language: str = "en"
    """Of the texts, or `any`. Words of sentences in another one are counted, but neither replaced nor drawn."""

    @classmethod
    def of(cls, texts: Iterable[str], *, language: str = "en") -> "Statistics":
        """Count these texts in one pass; memory grows with the vocabulary.

        Args:
            language: a code of ISO 639, or `any`.
        Raises:
            SettingsError: there is no text, or no word in them.
        """
        if isinstance(texts, str):
            raise SettingsError("texts: give several texts, not one; TF-IDF compares them")
        language = two_letters(language)
        count, documents, occurrences, prose = 0, Counter[str](), Counter[str](), Counter[str]()
        for text in texts:
            count += 1
            words = words_in(text, language) or [word._replace(editable=False) for word in find_words(text)]
            terms = [term(word) for word in words]
            occurrences.update(terms)
            documents.update(set(terms))
            for word, counted in zip(words, terms, strict=True):
                if word.text == word.lowercase or not word.starts_sentence:  # a capital there tells nothing
                    prose[counted] += 1 if word.editable else -1
        if not occurrences:
            raise SettingsError(f"statistics of {count} texts without a word: give the texts that TF-IDF counts")
        ordered = tuple(sorted(occurrences))
        document_frequency, term_frequency, in_prose = (
            np.array([counter[word] for word in ordered], dtype=np.int64) for counter in (documents, occurrences, prose)
        )
        return cls(ordered, document_frequency, term_frequency, in_prose > 0, count, language)

    @cached_property
    def digest(self) -> str:
        digest = hashlib.blake2b(f"{self.texts}\n{' '.join(self.words)}\n".encode(), digest_size=8)
        for counts in (self.document_frequency, self.term_frequency, self.in_prose):
            digest.update(counts.astype("<i8").tobytes())
        if self.language != "en":
            digest.update(self.language.encode())
        return digest.hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Statistics) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"Statistics(words={len(self.words)}, texts={self.texts}, digest={self.digest!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        """The words as one string, which pickles many times faster than a tuple of them."""
        counts = self.document_frequency, self.term_frequency, self.in_prose
        return _from_joined, (" ".join(self.words), *counts, self.texts, self.language)

    def idf(self) -> np.ndarray:
        """log(texts / document frequency), at least 0. (W,)"""
        return np.array([math.log(self.texts / count) for count in self.document_frequency.tolist()])

    def scores(self) -> np.ndarray:
        """S(w) = freq(w) idf(w). (W,)"""
        return self.term_frequency * self.idf()


def _from_joined(joined: str, *counts: Any) -> Statistics:
    return Statistics(tuple(joined.split(" ")), *counts)


@dataclass(frozen=True, kw_only=True)
class TfIdf(WordEdit):
    """Replaces uninformative words by other uninformative words; the topic of the text stays.

        tfidf_i = (occurrences of word i in the text / n) idf(word i),  idf(w) = log(texts / texts with w)
        p_i     = min(rate (C - tfidf_i) / Z, 1),  C = max_i tfidf_i,  Z = mean_i (C - tfidf_i)
        p(w)    ~ max_w' S(w') - S(w),  S(w) = freq(w) idf(w), w other than the replaced word

    Word i of n is replaced independently with probability p_i, so a text may stay as it is. If Z = 0 (one word, or all
    have the same tfidf), p_i is `rate`; if all S are equal, the draw is uniform. A word that the corpus lacks counts as
    a word of one text.

    Source: UDA (Xie et al. 2019, arXiv 1904.12848), appendix A.2; p -> rate, 0.7 in the authors' code; idf as in their
    code. S is the paper's: their code sums the tfidf of all texts instead, which favours words of short texts.
    Departures from both, where the text would be damaged: names, numbers, contractions, compounds, addresses and
    `protect` are counted but neither replaced nor drawn, nor are negations unless `keep_negations` is off; a substitute
    takes the capital of its word, and a becomes an where the next word requires it.
    """

    method = "tfidf"
    version = 2

    statistics: Statistics
    """Of the corpus: `Statistics.of(texts)` of the training texts."""

    rate: float = 0.7
    """p, in (0, 1]: the expected share of the words to replace, before p_i is capped at 1 and before excluding the
    words that stay. The authors' 0.7 is a share of all tokens; here names, numbers, negations and the like stay, so a
    smaller share of a text changes."""

    protect: tuple[str, ...] = ()
    """Words neither to replace nor to draw, such as those that carry the label; list each form, in any case."""

    language: str = "en"
    """Of the texts and of the statistics, such as de or deu, or `any`; sentences in another one stay."""

    keep_negations: bool = True
    """Neither replace nor draw negations; the paper treats them as any other word."""

    def __post_init__(self) -> None:
        if not isinstance(self.statistics, Statistics):
            raise SettingsError("statistics: give those of the training texts, Statistics.of(texts)")
        super().__post_init__()
        if self.statistics.language != self.texts_language:
            raise SettingsError(
                f"language={self.language!r}, but the statistics are of language {self.statistics.language!r}: "
                f"give Statistics.of(texts, language={self.language!r})"
            )

    @cached_property
    def kept_words(self) -> frozenset[str]:
        return lower_case(self.protect) | (negations_of(self.texts_language) if self.keep_negations else frozenset())

    def settings(self) -> dict[str, Any]:
        further = {"digest_of_texts": self.statistics.digest, "keep_negations": self.keep_negations}
        return super().settings() | further

    def edit(self, text: str, words: Sequence[Word], draws: Draws) -> EditedText:
        substitutes = _substitutes(self.statistics, self.kept_words)
        terms = [term(word) for word in words]
        new_words: dict[int, str] = {}  # by index of the replaced word
        for index, probability in enumerate(replacement_probabilities(terms, substitutes.idf, self.rate)):
            word = words[index]
            if may_be_name(word) and terms[index] not in substitutes.index:
                continue  # the corpus has it with a capital
            if word.editable and word.lowercase not in self.kept_words and draws.uniform() < probability:
                substitute = substitutes.draw(terms[index], draws)
                if substitute is not None:
                    new_words[index] = substitute
        edits = _edits(text, words, new_words)
        return EditedText(replace_words(text, words, edits), len(edits) / max(1, len(words)))


def replacement_probabilities(terms: Sequence[str], idf: Mapping[str, float], rate: float) -> list[float]:
    """p_i of UDA's appendix A.2, for the words of a text."""
    if not terms:
        return []
    tfidf = {term: count / len(terms) * idf[term] for term, count in Counter(terms).items()}
    largest = max(tfidf.values())
    gaps = [largest - tfidf[term] for term in terms]  # C - tfidf_i
    mean = sum(gaps) / len(gaps)
    return [min(rate * gap / mean, 1.0) for gap in gaps] if mean > 0 else [rate] * len(terms)


def _edits(text: str, words: Sequence[Word], new_words: dict[int, str]) -> list[Edit]:
    """The replacements, with the capitals of their words; from last to first, since an article needs its next word."""
    edits: list[Edit] = []
    for index in sorted(new_words, reverse=True):
        word, substitute = words[index], new_words[index]
        if substitute == "a" and index + 1 < len(words):
            following = words[index + 1]
            following_text = edits[-1].new if index + 1 in new_words else following.text
            if not text[word.end : following.start].strip():
                substitute = article_before(following_text.lower())
        edits.append(Edit(word.start, word.end, with_capital_of(word.text, substitute)))
    return edits[::-1]


# --- substitutes ------------------------------------------------------------------------------------------------------


class _Idf(dict[str, float]):
    """By word; a word that the corpus lacks has the idf of a word of one text."""

    unseen: float

    def __missing__(self, word: str) -> float:
        return self.unseen


class _Substitutes(NamedTuple):
    words: list[str]
    cumulative_weights: list[float]
    index: dict[str, int]
    idf: _Idf

    def draw(self, word: str, draws: Draws) -> str | None:
        """Another word, in proportion to its weight; None if there is none."""
        own_index = self.index.get(word)
        sums = self.cumulative_weights
        start, end = (
            (sums[own_index - 1] if own_index else 0.0, sums[own_index]) if own_index is not None else (0.0, 0.0)
        )
        total = (sums[-1] if sums else 0.0) - (end - start)
        if total > 0:
            drawn = draws.uniform() * total
            if own_index is not None and drawn >= start:
                drawn += end - start  # skips the interval of the word itself
            index = min(bisect(sums, drawn), len(self.words) - 1)
        elif others := len(self.words) - (own_index is not None):
            index = draws.below(others)
            index += own_index is not None and index >= own_index
        else:
            return None
        return self.words[index] if index != own_index else None


@lru_cache(maxsize=4)
def _substitutes(statistics: Statistics, kept_words: frozenset[str]) -> _Substitutes:
    idf = _Idf(zip(statistics.words, statistics.idf().tolist(), strict=True))
    idf.unseen = math.log(statistics.texts)
    scores = statistics.scores()
    prose = np.flatnonzero(statistics.in_prose).tolist()
    allowed = [index for index in prose if statistics.words[index] not in kept_words]
    words = [statistics.words[index] for index in allowed]
    cumulative_weights = list(accumulate((scores.max() - scores)[allowed].tolist()))
    return _Substitutes(words, cumulative_weights, {word: index for index, word in enumerate(words)}, idf)
