"""Synonym replacement: WordNet's synonyms of the frequent sense, inflected as the word they replace."""

import re
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from text_uda.errors import SettingsError
from text_uda.keyed import keyed_generator
from text_uda.wordnet import sense_counts, wordnet
from translation_cache import Paraphrase, fingerprint

VERSION = 1  # of the algorithm: a change of what it makes is a new number

_CHUNK = re.compile(r"\S+")
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_NO_PROSE = re.compile(r"://|www\.|[@#_/\\<>{}=|]|\w\.\w")  # of URLs, addresses, tags, paths, code
_SENTENCE_END = re.compile(r"[.!?:…]['\"”’»)\]]*$")

# Words that carry grammar or a negation; a synonym of theirs is another sentence.
_KEPT = frozenset(
    """a about above after again against all almost already also although always am among an and another any anybody
    anyone anything are around as at away back be became because become been before behind being below between
    both but by came can cannot could did do does doing done down during each either else enough even ever every
    everybody everyone everything except few first for from further gave get gets getting give given go goes
    going gone got had hardly has have having he hence her here hers herself him himself his how however i if in
    indeed instead into is it its itself just keep kept know last least less let like little lot lots made make
    makes making many may me might mine more most much must my myself neither never next no nobody none nor not
    nothing now nowhere of off often on once one ones only onto or other others otherwise our ours ourselves out
    over own per perhaps put quite rather really said same saw say says see seen several shall she should since
    so some somebody someone something sometimes somewhere soon still such take taken than that the their theirs
    them themselves then there therefore these they thing things this those though three through thus to
    together too took toward towards twice two under unless until up upon us very was way we well went were what
    whatever when where whether which while who whole whom whose why will with within without won would yes yet
    you your yours yourself yourselves""".split()
)
_BEFORE_NOUN = frozenset("a an the this that these those my your his her its our their no every each some any".split())
_BEFORE_VERB = frozenset("to will would can could may might must shall should i you we they who cannot".split())
_BEFORE_ADJECTIVE = frozenset("very so too quite rather really more most less least as".split())
_BE_OR_HAVE = frozenset("be am is are was were been being have has had having".split())

# Universal part of speech (of the inflection tables) -> WordNet's.
_PARTS = {"NOUN": "n", "VERB": "v", "ADJ": "a", "ADV": "r"}
_CLEAR = 0.85  # share of a word's uses that its part of speech has to have, to be believed without a tagger
_FREQUENT = 0.5  # share of its uses that a sense has to have
_RARE = 3  # uses in the tagged texts up to which a word may be replaced by one that is not in them at all


class Candidate(NamedTuple):
    """A word that may take the place of another."""

    text: str
    weight: float


@dataclass(frozen=True, kw_only=True)
class Synonym:
    """Replaces a share of the words by synonyms; every byte that is not a replaced word stays.

    Source: Zhang et al. 2015 (arXiv 1509.01626), Section 2.4, take WordNet-like synonyms by the frequency of their
    sense; Wei & Zou 2019 (EDA, arXiv 1901.11196), Section 2, take a share of the words. Here a synonym is taken from
    the word's frequent sense only, has to use that sense frequently itself, and is inflected like the word. Stop words,
    negations, names, numbers and protected words stay.
    """

    rate: float = 0.3
    """Share of the words to replace, in (0, 1]; as many as have a synonym, at least one where there is any."""

    seed: int = 0

    protect: tuple[str, ...] = ()
    """Words to leave alone, such as those that carry the label; in lower case, each form by itself."""

    def __post_init__(self) -> None:
        if not 0 < self.rate <= 1:
            raise SettingsError(f"rate={self.rate}: give a share of the words above 0, at most 1")

    def settings(self) -> dict[str, Any]:
        return {
            "method": "synonym",
            "version": VERSION,
            "unit": "text",
            "wordnet": str(wordnet().get_version()),
            "rate": self.rate,
            "seed": self.seed,
            "protect": sorted(self.protect),
        }

    def __call__(self, sources: Sequence[str], samples: Sequence[int]) -> list[Paraphrase]:
        """Raises MissingPartError where there is no WordNet."""
        key = fingerprint(self.settings())
        return [
            self._replace(source, keyed_generator(key, source, sample))
            for source, sample in zip(sources, samples, strict=True)
        ]

    def _replace(self, text: str, generator: np.random.Generator) -> Paraphrase:
        words = list(_words(text))
        places = [place for place, word in enumerate(words) if word.candidates and word.lower not in self.protect]
        if not places:
            return Paraphrase(text, "unchanged", scores={"change_rate": 0.0})
        count = min(len(places), max(1, round(self.rate * len(words))))
        chosen = np.sort(generator.choice(len(places), count, replace=False))
        edits: list[tuple[int, int, str]] = []  # start, end, new
        for place in (places[index] for index in chosen):
            word = words[place]
            weights = np.array([candidate.weight for candidate in word.candidates])
            drawn = word.candidates[int(generator.choice(len(weights), p=weights / weights.sum()))]
            new = _in_case_of(word.text, drawn.text)
            article = _article(words[place - 1], word, text, new) if place else None
            edits += [article] if article else []
            edits.append((word.start, word.end, new))
        return Paraphrase(_edited(text, edits), scores={"change_rate": count / len(words)})


class _Word(NamedTuple):
    text: str
    start: int
    end: int
    candidates: tuple[Candidate, ...]

    @property
    def lower(self) -> str:
        return self.text.lower()


def _words(text: str) -> Iterable[_Word]:
    """The words of a text with what may take their place, none for what is to stay."""
    before = ""
    begins = True  # of a sentence, where a capital says nothing
    for chunk in _CHUNK.finditer(text):
        prose = not _NO_PROSE.search(chunk[0])
        for match in _WORD.finditer(chunk[0]):
            word, start = match[0], chunk.start() + match.start()
            end = start + len(word)
            joined = text[start - 1 : start] in ("-", "'", "’") or text[end : end + 1] in ("-", "'", "’", "*")
            name = word[0].isupper() and not begins
            plain = prose and not joined and not name and word.isascii() and (word.islower() or word.istitle())
            lower = word.lower()
            found = _candidates(lower, _context(before)) if plain and lower not in _KEPT else ()
            yield _Word(word, start, end, found)
            before, begins = lower, False
        if _SENTENCE_END.search(chunk[0]):
            before, begins = "", True
        elif chunk[0][-1] in ",;":
            before = ""


def _edited(text: str, edits: list[tuple[int, int, str]]) -> str:
    parts, last = [], 0
    for start, end, new in edits:
        parts += [text[last:start], new]
        last = end
    return "".join([*parts, text[last:]])


def _in_case_of(old: str, new: str) -> str:
    return new[0].upper() + new[1:] if old[0].isupper() else new


def _article(before: _Word, word: _Word, text: str, new: str) -> tuple[int, int, str] | None:
    """The edit that makes `a` an `an`, or the other way, where `new` takes the place of the word after it."""
    if before.lower not in ("a", "an") or text[before.end : word.start].strip():
        return None
    article = "an" if _begins_with_vowel(new.lower()) else "a"
    return None if article == before.lower else (before.start, before.end, _in_case_of(before.text, article))


def _begins_with_vowel(word: str) -> bool:
    """As it is spoken: an hour, a useful thing, a one."""
    if word.startswith(("hour", "honest", "honor", "honour", "heir")):
        return True
    return word[0] in "aeiou" and not re.match(r"uni([^nm]|$)|us[aeu]|eu|ewe|one\b|once|ut[ei]|ubi", word)


# --- which words may stand for a word ---------------------------------------------------------------------------------


def _context(before: str) -> str | None:
    """What the word before says of a word's part of speech: NOUN stands for a noun or an adjective."""
    if before in _BEFORE_NOUN:
        return "NOUN"
    if before in _BEFORE_VERB:
        return "VERB"
    if before in _BEFORE_ADJECTIVE:
        return "ADJ"
    return "PARTICIPLE" if before in _BE_OR_HAVE else None


_looking_up = threading.Lock()


@lru_cache(maxsize=1 << 17)
def _candidates(word: str, context: str | None) -> tuple[Candidate, ...]:
    """Synonyms of a word in lower case, inflected as it is; none where its part of speech or sense is not clear."""
    with _looking_up:
        reading = _reading(word, context)
        if reading is None:
            return ()
        lemma, part = reading
        weights: dict[str, float] = {}
        for synonym, weight in _synonyms(lemma, _PARTS[part]):
            form = _inflected(synonym, word, lemma, part, context)
            if form is not None and form != word:
                weights[form] = weights.get(form, 0.0) + weight
        return tuple(Candidate(form, weight) for form, weight in sorted(weights.items()))


def _reading(word: str, context: str | None) -> tuple[str, str] | None:
    """The lemma and part of speech of a word, or None where another one is likely too."""
    fitting = {(lemma, part): uses * _fit(part, context) for (lemma, part), uses in _readings(word).items()}
    if not fitting:
        return None
    lemma, part = max(fitting, key=lambda reading: fitting[reading])
    if fitting[lemma, part] < _CLEAR * sum(fitting.values()) or _fit(part, context) < 0.1:
        return None
    if part == "VERB" and word != lemma and context != "VERB" and (wordnet().synsets(word, "a")):
        return None  # a compelling story, an animated film: participles that have become adjectives
    return lemma, part


@lru_cache(maxsize=1 << 16)
def _readings(word: str) -> dict[tuple[str, str], float]:
    """How often a word is which (lemma, part of speech), by the tables and the tagged texts of WordNet."""
    import lemminflect

    uses: dict[tuple[str, str], float] = {}
    for part, lemmas in lemminflect.getAllLemmas(word).items():  # a table; its rules for unknown words are not asked
        for lemma in lemmas if part in _PARTS else ():
            senses = wordnet().synsets(lemma, _PARTS[part])
            if senses:
                uses[lemma, part] = sum(_count(sense, lemma) for sense in senses) + 0.1 * len(senses)
    return uses


def _fit(part: str, context: str | None) -> float:
    """How well a part of speech fits after the word before."""
    if context == "NOUN":
        return {"NOUN": 1.0, "ADJ": 1.0, "ADV": 0.3, "VERB": 0.02}[part]
    if context == "VERB":
        return {"VERB": 1.0, "ADV": 0.5, "NOUN": 0.05, "ADJ": 0.05}[part]
    if context == "ADJ":
        return {"ADJ": 1.0, "ADV": 1.0, "NOUN": 0.1, "VERB": 0.05}[part]
    return 1.0


@lru_cache(maxsize=1 << 16)
def _synonyms(lemma: str, part: str) -> list[tuple[str, float]]:
    """Words that share the frequent sense of a lemma, and mostly mean it themselves; weighted by how often they do."""
    senses: list[Any] = wordnet().synsets(lemma, part)
    counts = [_count(sense, lemma) + 0.5 for sense in senses]
    if not senses or counts[0] < _FREQUENT * sum(counts):
        return []
    found = []
    for other in senses[0].lemmas():
        name = other.name()
        if name == lemma or name in _KEPT or not name.isalpha() or not name.islower():
            continue  # the word itself, several words, a name
        if part == "r" and name.endswith("ly") != lemma.endswith("ly"):
            continue  # certainly is no sure, and easily no easy, where they stand
        if counts[0] > _RARE and not _count(senses[0], name):
            continue  # no rare word (optic) for a common one (eye)
        own = wordnet().synsets(name, part)
        own_counts = [_count(sense, name) + 0.5 for sense in own]
        here = next((count for sense, count in zip(own, own_counts, strict=True) if sense == senses[0]), 0.0)
        if here >= _FREQUENT * sum(own_counts):
            found.append((name, here))
    return found


def _count(sense, lemma: str) -> int:
    """How often the tagged texts of WordNet use the lemma in this sense."""
    return next((sense_counts().get(each.key(), 0) for each in sense.lemmas() if each.name().lower() == lemma), 0)


def _inflected(synonym: str, word: str, lemma: str, part: str, context: str | None) -> str | None:
    """The synonym in the form that the word has of its lemma, from the tables; None where they have no such form."""
    forms = _forms(lemma, part)
    tags = [tag for tag, spellings in forms.items() if word in spellings]
    if {"VBD", "VBN"} <= set(tags):  # walked, and had walked: only what is alike in both, or the one that context tells
        tags = ["VBN"] if context == "PARTICIPLE" else ["VBD", "VBN"]
    others = _forms(synonym, part)
    found = {others[tag][0] for tag in tags if tag in others}
    return found.pop() if tags and len(found) == 1 and all(tag in others for tag in tags) else None


def _forms(lemma: str, part: str) -> dict[str, tuple[str, ...]]:
    """The spellings of each form, by Penn tag. The tables leave out a past participle that is as the past tense."""
    import lemminflect

    forms = dict(lemminflect.getAllInflections(lemma, upos=part))
    return {"VBN": forms["VBD"]} | forms if "VBD" in forms else forms
