"""TF-IDF replacement: words that say little about a text replaced by words that say little anywhere."""

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

from text_uda.augment.per_text import Changed, check_protect, check_rate, per_text, protected
from text_uda.augment.words import NEGATIONS, Edit, Word, begins_with_vowel, edited, in_case_of, with_articles, words
from text_uda.errors import SettingsError
from text_uda.keyed_random import Draws
from translation_cache import Paraphrase

VERSION = 1  # of the algorithm: a change of what it makes is a new number


def term(word: Word) -> str:
    """What is counted as one word: the forms of its case, and `an` with `a`, which is written as the next word asks."""
    return "a" if word.lower == "an" else word.lower


@dataclass(frozen=True, eq=False)
class Statistics:
    """How often the words of a corpus occur. Equal where the digest is."""

    words: tuple[str, ...]
    """W of them, sorted, in lower case, as `term` has them."""
    document_frequency: np.ndarray  # (W,) int64: texts with the word
    term_frequency: np.ndarray  # (W,) int64: occurrences
    in_prose: np.ndarray
    """(W,) bool: more often in lower case in prose than as a name, in an address, a contraction or a compound. What
    is not may be replaced by nothing, and is drawn for nothing."""
    texts: int

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Statistics":
        """Of these texts, read once; memory is that of the vocabulary.

        Raises:
            SettingsError: there is no text, or no word in them.
        """
        if isinstance(texts, str):
            raise SettingsError("texts: give several texts, not one; TF-IDF compares them")
        count, document, occurrences, prose = 0, Counter[str](), Counter[str](), Counter[str]()
        for text in texts:
            count += 1
            found = words(text)
            terms = [term(word) for word in found]
            occurrences.update(terms)
            document.update(set(terms))
            for word, each in zip(found, terms, strict=True):
                if word.text == word.lower or not word.plain:  # a capital at the beginning of a sentence says nothing
                    prose[each] += 1 if word.plain else -1
        if not occurrences:
            raise SettingsError(f"statistics of {count} texts without a word: give the texts that TF-IDF counts")
        ordered = tuple(sorted(occurrences))
        document_frequency, term_frequency, in_prose = (
            np.array([counter[word] for word in ordered], dtype=np.int64) for counter in (document, occurrences, prose)
        )
        return cls(ordered, document_frequency, term_frequency, in_prose > 0, count)

    @cached_property
    def digest(self) -> str:
        hashed = hashlib.blake2b(f"{self.texts}\n{' '.join(self.words)}\n".encode(), digest_size=8)
        for part in (self.document_frequency, self.term_frequency, self.in_prose):
            hashed.update(part.astype("<i8").tobytes())
        return hashed.hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Statistics) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"Statistics(words={len(self.words)}, texts={self.texts}, digest={self.digest!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        """One string is sent to a worker many times faster than its words."""
        counts = self.document_frequency, self.term_frequency, self.in_prose
        return _from_joined, (" ".join(self.words), *counts, self.texts)

    def idf(self) -> np.ndarray:
        """log(texts / document frequency), never below 0. (W,)"""
        return np.array([math.log(self.texts / count) for count in self.document_frequency.tolist()])

    def scores(self) -> np.ndarray:
        """S(w) = freq(w) idf(w). (W,)"""
        return self.term_frequency * self.idf()


def _from_joined(joined: str, *rest: Any) -> Statistics:
    return Statistics(tuple(joined.split(" ")), *rest)


@dataclass(frozen=True, kw_only=True)
class TfIdf:
    """Words that say little replaced by others that say little, so that what a text is about stays.

        tfidf_i = (times that word i is in the text / n) idf(word i),  idf(w) = log(texts / texts with w)
        p_i     = min(rate (C - tfidf_i) / Z, 1),  C = max_i tfidf_i,  Z = mean_i (C - tfidf_i)
        p(w)    ~ max_w' S(w') - S(w),  S(w) = freq(w) idf(w), w other than the word it is for

    Word i of n is replaced with probability p_i, by itself, so a text may stay as it is. Where Z = 0 (one word, or all
    say the same) p_i is `rate`; where all S are equal all words are as likely. A word that is not in the corpus counts
    as one of a single text.

    Source: UDA (Xie et al. 2019, arXiv 1904.12848), appendix A.2; p -> rate, of which its authors use 0.7; idf as in
    their code. S is the paper's: their code has the sum over texts of tfidf in its place, which weighs words of short
    texts more. It departs from both where the text would be damaged: names, numbers, contractions, compounds, addresses
    and `protect` are counted but neither replaced nor drawn, nor are negations unless asked for; a substitute takes the
    case of its word, and a is written an where the next word asks for it.
    """

    statistics: Statistics
    """Of the corpus: `Statistics.of(texts)`, of the training texts."""

    rate: float = 0.7
    """p, in (0, 1]: the expected share of the words to replace, before p_i is cut at 1 and what may not be replaced is
    left alone. The authors' 0.7 is of tokens of any kind; here names, numbers, negations and the like stay, so that a
    smaller share of a text changes."""

    seed: int = 0

    protect: tuple[str, ...] = ()
    """Words neither to replace nor to draw, such as those that carry the label; each form by itself, in any case."""

    keep_negations: bool = True
    """Whether negations are neither replaced nor drawn; the paper treats them as any other word."""

    def __post_init__(self) -> None:
        if not isinstance(self.statistics, Statistics):
            raise SettingsError("statistics: give those of the training texts, Statistics.of(texts)")
        check_rate(self.rate)
        check_protect(self.protect)

    def settings(self) -> dict[str, Any]:
        return {
            "method": "tfidf",
            "version": VERSION,
            "unit": "text",
            "digest_of_texts": self.statistics.digest,
            "rate": self.rate,
            "seed": self.seed,
            "protect": sorted(protected(self.protect)),
            "keep_negations": self.keep_negations,
        }

    def __call__(self, sources: Sequence[str], samples: Sequence[int]) -> list[Paraphrase]:
        kept = protected(self.protect) | (NEGATIONS if self.keep_negations else frozenset())
        substitutes = _substitutes(self.statistics, kept)

        def replaced(text: str, draws: Draws) -> Changed:
            found = words(text)
            terms = [term(word) for word in found]
            new: dict[int, str] = {}  # by place
            for place, probability in enumerate(replacement_probabilities(terms, substitutes.idf, self.rate)):
                word = found[place]
                if word.plain and word.lower not in kept and draws.uniform() < probability:
                    drawn = substitutes.draw(terms[place], draws)
                    if drawn is not None:
                        new[place] = drawn
            edits = _edits(text, found, new)
            return Changed(edited(text, with_articles(text, found, edits)), len(edits) / max(1, len(found)))

        return per_text(replaced, self.settings(), sources, samples)


def replacement_probabilities(terms: Sequence[str], idf: Mapping[str, float], rate: float) -> list[float]:
    """p_i of UDA's appendix A.2, for the words of a text."""
    if not terms:
        return []
    tfidf_of = {each: times / len(terms) * idf[each] for each, times in Counter(terms).items()}
    most = max(tfidf_of.values())
    below = [most - tfidf_of[each] for each in terms]
    mean = sum(below) / len(below)
    return [min(rate * each / mean, 1.0) for each in below] if mean > 0 else [rate] * len(terms)


def _edits(text: str, found: Sequence[Word], new: dict[int, str]) -> list[Edit]:
    """The replacements, in the case of their words. From the last to the first: an article asks what comes after it."""
    edits: list[Edit] = []
    for place in sorted(new, reverse=True):
        word, substitute = found[place], new[place]
        if substitute == "a" and place + 1 < len(found):
            follows = found[place + 1]
            after = edits[-1].new if place + 1 in new else follows.text
            if not text[word.end : follows.start].strip() and begins_with_vowel(after.lower()):
                substitute = "an"
        edits.append(Edit(word.start, word.end, in_case_of(word.text, substitute)))
    return edits[::-1]


# --- what is drawn ----------------------------------------------------------------------------------------------------


class _Idf(dict[str, float]):
    """By word; one that the corpus does not have counts as a word of one text."""

    unseen: float

    def __missing__(self, word: str) -> float:
        return self.unseen


class _Substitutes(NamedTuple):
    words: list[str]
    up_to: list[float]
    """Running sums of their weights."""
    place: dict[str, int]
    idf: _Idf

    def draw(self, word: str, draws: Draws) -> str | None:
        """Another word, in proportion to its weight; None where there is none."""
        own = self.place.get(word)
        before, after = (self.up_to[own - 1] if own else 0.0, self.up_to[own]) if own is not None else (0.0, 0.0)
        total = (self.up_to[-1] if self.up_to else 0.0) - (after - before)
        if total > 0:
            drawn = draws.uniform() * total
            if own is not None and drawn >= before:
                drawn += after - before  # the stretch of the word itself is skipped
            index = min(bisect(self.up_to, drawn), len(self.words) - 1)
        elif others := len(self.words) - (own is not None):
            index = draws.below(others)
            index += own is not None and index >= own
        else:
            return None
        return self.words[index] if index != own else None


@lru_cache(maxsize=4)
def _substitutes(statistics: Statistics, kept: frozenset[str]) -> _Substitutes:
    idf = _Idf(zip(statistics.words, statistics.idf().tolist(), strict=True))
    idf.unseen = math.log(statistics.texts)
    scores = statistics.scores()
    allowed = [index for index in np.flatnonzero(statistics.in_prose).tolist() if statistics.words[index] not in kept]
    drawn = [statistics.words[index] for index in allowed]
    up_to = list(accumulate((scores.max() - scores)[allowed].tolist()))
    return _Substitutes(drawn, up_to, {word: place for place, word in enumerate(drawn)}, idf)
