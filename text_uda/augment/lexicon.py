"""Which words may stand for a word: WordNet's synonyms of its frequent sense, in its form, and never its opposite."""

import re
import threading
from collections.abc import Callable, Iterable
from functools import cache, lru_cache
from importlib.metadata import version
from itertools import accumulate
from typing import NamedTuple

from text_uda.augment.words import STOP_WORDS
from text_uda.text.wordnet import read

# What a word before says of the part of speech; of "to" it is not sure: to the point, to film, to films.
_CONTEXTS = {
    word: context
    for context, words in {
        "NOUN": """a an the this that these those my your his her its our their no every each some any few several many
            such other own of in with for from by on at into about between among without""",
        "VERB": "will would can could may might must shall should i you he she it we they who which cannot",
        "TO": "to",
        "ADJ": "very so too quite rather really more most less least as",
        "PARTICIPLE": "be am is are was were been being have has had having",
    }.items()
    for word in words.split()
}
# How well a part of speech fits there, beside 1 where nothing is said.
_FITS = {
    "NOUN": {"NOUN": 1.0, "ADJ": 1.0, "ADV": 0.3, "VERB": 0.02},
    "VERB": {"VERB": 1.0, "ADV": 0.5, "NOUN": 0.05, "ADJ": 0.05},
    "TO": {"VERB": 1.0, "ADV": 0.3, "NOUN": 0.3, "ADJ": 0.3},
    "ADJ": {"ADJ": 1.0, "ADV": 1.0, "NOUN": 0.1, "VERB": 0.05},
}
_PARTICLES = frozenset("up out off down away back over apart".split())
_PREPOSITIONS = frozenset("regarding concerning including following considering according given past".split())

# Universal part of speech (of the inflection tables) -> WordNet's.
_PARTS = {"NOUN": "noun", "VERB": "verb", "ADJ": "adjective", "ADV": "adverb"}
_FILES = {"noun": "noun", "verb": "verb", "adjective": "adj", "adverb": "adv"}
_CLEAR = 0.85  # share of a word's uses that its part of speech has to have, to be believed without a tagger
_ALIKE = 0.5  # how likely two words have to mean what they share, the one times the other
_RARE = 0.05  # uses of a synonym for each of the word, below which it would be noticed: optic for eye
_UNTAGGED = 3  # uses of a word up to which those of its synonyms say nothing


class Phrase(NamedTuple):
    """An entry of several words that a word is part of."""

    words: tuple[str, ...]
    at: int
    """The place of the word in it."""


class Entry(NamedTuple):
    """What may take the place of a word."""

    part: str
    """noun, verb, adjective or adverb."""
    forms: tuple[str, ...]
    up_to: tuple[float, ...]
    """Running sums of the weights of the forms: how often the tagged texts use them in this sense."""
    polar: bool
    """It has an opposite, so that beside a negation a near synonym may say another thing."""
    following: dict[str, tuple[Phrase, ...]]
    """By the word after it, the phrases that go on with that."""
    preceding: dict[str, tuple[Phrase, ...]]
    """By the word before it, the phrases that end with the word."""
    particles: frozenset[str]
    """Those that make another verb of it, and may stand apart from it: turn it off."""


@lru_cache(maxsize=1 << 17)
def context_of(before: str) -> str | None:
    """What the word before says of a word's part of speech: NOUN stands for a noun or an adjective."""
    if before in _CONTEXTS or before in STOP_WORDS:
        return _CONTEXTS.get(before)
    uses = _readings(before)
    adjective = sum(count for (_, tag), count in uses.items() if tag == "ADJ")
    return "NOUN" if adjective > 0.9 * sum(uses.values()) else None


@lru_cache(maxsize=1 << 17)
def entries(word: str) -> dict[str | None, Entry]:
    """What may take the place of a word in lower case, by `context_of` the word before it.

    A context where the part of speech or the sense is not clear is not there, and for most words none is.

    Raises:
        MissingPartError: WordNet is nowhere.
    """
    if word in STOP_WORDS or word in _PREPOSITIONS or not _readings(word):
        return {}
    found = {context: _entry(word, context) for context in (None, "NOUN", "VERB", "TO", "ADJ", "PARTICIPLE")}
    return {context: entry for context, entry in found.items() if entry is not None}


def _entry(word: str, context: str | None) -> Entry | None:
    reading = _reading(word, context)
    if reading is None:
        return None
    lemma, tag = reading
    part = _PARTS[tag]
    weights: dict[str, float] = {}
    for synonym, weight in _synonyms(lemma, part):
        form = _inflected(synonym, word, lemma, tag, context)
        if form is not None and form != word:
            weights[form] = weights.get(form, 0.0) + weight
    if not weights:
        return None
    forms = tuple(sorted(weights))
    up_to = tuple(accumulate(weights[form] for form in forms))
    return Entry(part, forms, up_to, bool(opposites(lemma, part)), *_phrases(lemma, word, part))


@lru_cache(maxsize=1 << 16)
def _phrases(
    lemma: str, word: str, part: str
) -> tuple[dict[str, tuple[Phrase, ...]], dict[str, tuple[Phrase, ...]], frozenset[str]]:
    """`following`, `preceding` and `particles` of an entry."""
    following: dict[str, tuple[Phrase, ...]] = {}
    preceding: dict[str, tuple[Phrase, ...]] = {}
    particles: set[str] = set()
    for each in {lemma, word}:
        for phrase in tables().phrases.get(each, ()):
            at = phrase.index(each)
            side, beside = (following, phrase[at + 1]) if at + 1 < len(phrase) else (preceding, phrase[at - 1])
            side[beside] = (*side.get(beside, ()), Phrase(phrase, at))
            if part == "verb" and at == 0 and len(phrase) == 2 and phrase[1] in _PARTICLES:
                particles.add(phrase[1])
    return following, preceding, frozenset(particles)


def versions() -> dict[str, str]:
    """Of what decides which words stand for a word."""
    return {"wordnet": _of_wordnet(), "lemminflect": version("lemminflect")}


@cache
def _of_wordnet() -> str:
    """As its files say at their head: 3.0."""
    found = re.search(rb"WordNet (\d+\.\d+)", read("data.adj"))
    return found[1].decode("ascii") if found else "unknown"


# --- which part of speech, which sense --------------------------------------------------------------------------------


def _reading(word: str, context: str | None) -> tuple[str, str] | None:
    """The lemma and part of speech of a word, or None where another one is likely too."""
    fitting = {(lemma, tag): uses * _fit(tag, context) for (lemma, tag), uses in _readings(word).items()}
    if not fitting:
        return None
    lemma, tag = max(fitting, key=lambda reading: fitting[reading])
    if fitting[lemma, tag] < _CLEAR * sum(fitting.values()) or _fit(tag, context) < 0.1:
        return None
    if tag == "VERB" and word != lemma and context != "VERB" and tables().senses(word, "adjective"):
        return None  # a compelling story, an animated film: participles that have become adjectives
    if tag == "VERB" and context not in ("VERB", "TO") and any(other != "VERB" for _, other in fitting):
        return None  # vulgar and mean, a few artsy flourishes: nothing says that it is a verb here
    return lemma, tag


@lru_cache(maxsize=1 << 16)
def _readings(word: str) -> dict[tuple[str, str], float]:
    """How often a word is which (lemma, part of speech), by the tables and the tagged texts of WordNet."""
    uses: dict[tuple[str, str], float] = {}
    for tag, lemmas in tables().lemmas(word).items():
        for lemma in lemmas if tag in _PARTS else ():
            counts = tables().counts(lemma, _PARTS[tag])
            if counts:
                uses[lemma, tag] = sum(counts) + 0.1 * len(counts)
    return uses


def _fit(tag: str, context: str | None) -> float:
    return _FITS[context][tag] if context in _FITS else 1.0


@lru_cache(maxsize=1 << 16)
def _synonyms(lemma: str, part: str) -> tuple[tuple[str, float], ...]:
    """Words that share the frequent senses of a lemma, and mostly mean them themselves; weighted by how often they do.

    How likely both words mean what they share is taken from the tagged texts, with 1/2 added to each count.
    """
    known = tables()
    senses, counts = known.senses(lemma, part), known.counts(lemma, part)
    names: dict[str, None] = {}
    for sense, count in zip(senses, counts, strict=True):
        if count or len(senses) == 1 or sense == senses[0]:
            names |= dict.fromkeys(known.synset(part, sense).words)
    found = []
    for name in names:
        if name == lemma or name in STOP_WORDS or not name.isalpha() or not name.islower():
            continue  # the word itself, several words, a name
        if part == "adverb" and name.endswith("ly") != lemma.endswith("ly"):
            continue  # certainly is no sure, and easily no easy, where they stand
        own, own_counts = known.senses(name, part), known.counts(name, part)
        shared = [sense for sense in senses if sense in own and _stand_alike(known.synset(part, sense), lemma, name)]
        uses = sum(counts[senses.index(sense)] for sense in shared)
        own_uses = sum(own_counts[own.index(sense)] for sense in shared)
        if uses > _UNTAGGED and own_uses < _RARE * uses:
            continue
        likely = (uses + 0.5 * len(shared)) / (sum(counts) + 0.5 * len(counts))
        own_likely = (own_uses + 0.5 * len(shared)) / (sum(own_counts) + 0.5 * len(own_counts))
        if likely * own_likely <= _ALIKE:
            continue
        if name not in opposites(lemma, part) and lemma not in opposites(name, part):
            found.append((name, own_uses + 0.5))
    return tuple(found)


def _stand_alike(synset: "Synset", word: str, other: str) -> bool:
    """Both only before a noun (the chief man), or only after it; and the other verb in each frame of the one's."""
    frames = synset.frames
    return synset.words.get(word) == synset.words.get(other) and frames.get(word, set()) <= frames.get(other, set())


@lru_cache(maxsize=1 << 16)
def opposites(lemma: str, part: str) -> frozenset[str]:
    """What WordNet calls an antonym of a word in any of its senses, or similar to one.

    An adjective that has none by itself is as opposed as what it is similar to: superb to bad, by way of good.
    """
    known = tables()
    found: set[str] = set()
    for sense in known.senses(lemma, part):
        for near in (sense, *known.synset(part, sense).similar):
            for antonym in known.synset(part, near).antonyms:
                for far in (antonym, *known.synset(part, antonym).similar):
                    found.update(known.synset(part, far).words)
    return frozenset(found - {lemma})


# --- in the form of the word ------------------------------------------------------------------------------------------


def _inflected(synonym: str, word: str, lemma: str, tag: str, context: str | None) -> str | None:
    """The synonym in the form that the word has of its lemma, from the tables; None where they have no such form."""
    forms = _forms(lemma, tag)
    tags = [form for form, spellings in forms.items() if word in spellings]
    if {"VBD", "VBN"} <= set(tags):  # walked, and had walked: only what is alike in both, or the one that context tells
        tags = ["VBN"] if context == "PARTICIPLE" else ["VBD", "VBN"]
    others = _forms(synonym, tag)
    found = {others[form][0] for form in tags if form in others}
    return found.pop() if tags and len(found) == 1 and all(form in others for form in tags) else None


@lru_cache(maxsize=1 << 16)
def _forms(lemma: str, tag: str) -> dict[str, tuple[str, ...]]:
    """The spellings of each form, by Penn tag. The tables leave out a past participle that is as the past tense."""
    forms = tables().forms(lemma, tag)
    return {"VBN": forms["VBD"]} | forms if "VBD" in forms else forms


# --- WordNet and the inflection tables, in memory ---------------------------------------------------------------------


class Synset(NamedTuple):
    words: dict[str, str]
    """Each with its marker: "(p)" of an adjective that is only a predicate, "(a)" only before a noun, else ""."""
    antonyms: tuple[int, ...]
    """Synsets of the same part of speech, by their place in the file."""
    similar: tuple[int, ...]
    frames: dict[str, set[str]]
    """Of each verb, the numbers of the sentence frames that it stands in, such as "Somebody ----s something"."""


class Tables:
    """Read whole, once: NLTK's reader moves in its files at each look-up, which is slow and not for several threads."""

    def __init__(self) -> None:
        import lemminflect

        self.lemmas: Callable[[str], dict[str, tuple[str, ...]]] = lemminflect.getAllLemmas
        self.forms: Callable[..., dict[str, tuple[str, ...]]] = lemminflect.getAllInflections
        for look_up in (self.lemmas, self.forms):
            look_up("movie")  # reads its table: here, where one thread is
        self._data = {part: read(f"data.{file}") for part, file in _FILES.items()}
        self._index: dict[str, dict[str, str]] = {}
        self.phrases: dict[str, list[tuple[str, ...]]] = {}
        """By each of its words, the entries of several words."""
        for part, file in _FILES.items():
            lines = [line for line in read(f"index.{file}").decode("ascii").splitlines() if line[:1] != " "]
            self._index[part] = {line[: line.index(" ")]: line for line in lines}
            self._note_phrases(name for name in self._index[part] if "_" in name)
        self._counts: dict[tuple[str, str], dict[int, int]] = {}
        for line in read("index.sense").decode("ascii").splitlines():
            if not line.endswith(" 0"):
                key, place, _, count = line.split()
                lemma, _, rest = key.partition("%")
                self._counts.setdefault((lemma, _OF_DIGIT[rest[0]]), {})[int(place)] = int(count)
        self.senses = lru_cache(maxsize=1 << 16)(self._senses)
        self.counts = lru_cache(maxsize=1 << 16)(self._uses)
        self.synset = lru_cache(maxsize=1 << 16)(self._synset)

    def _note_phrases(self, names: Iterable[str]) -> None:
        for name in names:
            words = tuple(name.split("_"))
            if "it" in words:
                continue  # buy it is slang for dying, and mostly means to buy it
            for word in set(words):
                if word not in STOP_WORDS:  # which are never replaced
                    self.phrases.setdefault(word, []).append(words)

    def _senses(self, lemma: str, part: str) -> tuple[int, ...]:
        """The synsets of a lemma, the most frequent first."""
        fields = self._index[part].get(lemma, "").split()
        return tuple(int(field) for field in fields[-int(fields[2]) :]) if fields else ()

    def _uses(self, lemma: str, part: str) -> tuple[int, ...]:
        """How often the texts that WordNet's makers tagged use it in each of its senses."""
        counts = self._counts.get((lemma, part), {})
        return tuple(counts.get(place, 0) for place in self._senses(lemma, part))

    def _synset(self, part: str, place: int) -> Synset:
        data = self._data[part]
        # place, lexicographer file, type, number of words (hexadecimal), (word, id) ..., number of pointers,
        # (symbol, place, part of speech, source and target word) ..., and frames of verbs: wndb(5WN)
        fields = data[place : data.index(b"|", place)].decode("ascii").split()
        last = 4 + 2 * int(fields[3], 16)
        words = {}
        for word in fields[4:last:2]:
            name, marker, rest = word.partition("(")
            words[name] = marker + rest
        pointers = fields[last + 1 : last + 1 + 4 * int(fields[last])]
        to = list(zip(pointers[::4], pointers[1::4], strict=True))
        antonyms = tuple(dict.fromkeys(int(target) for symbol, target in to if symbol == "!"))
        similar = tuple(int(target) for symbol, target in to if symbol == "&")
        frames: dict[str, set[str]] = {}
        if part == "verb":  # number of frames, ("+", frame, word, or 00 for each) ...
            order = list(words)
            of_frames = fields[last + 2 + len(pointers) :]
            for frame, number in zip(of_frames[1::3], of_frames[2::3], strict=True):
                for word in order if number == "00" else [order[int(number, 16) - 1]]:
                    frames.setdefault(word, set()).add(frame)
        return Synset(words, antonyms, similar, frames)


_OF_DIGIT = {"1": "noun", "2": "verb", "3": "adjective", "4": "adverb", "5": "adjective"}  # 5 of those similar to one
_loading = threading.Lock()


def tables() -> Tables:
    """Read at the first call, by one thread; nothing in it changes afterwards.

    Raises:
        MissingPartError: WordNet is nowhere.
    """
    return _loaded[0] if _loaded else _load()


_loaded: list[Tables] = []


def _load() -> Tables:
    with _loading:
        if not _loaded:
            _loaded.append(Tables())
        return _loaded[0]
