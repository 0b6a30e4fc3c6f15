"""Candidates to replace a word: WordNet's synonyms of its frequent sense, with its inflection, never an antonym.

The part of speech comes from the previous word (_CONTEXTS) and WordNet's counts, not from a tagger. HanTa 1.2.1, the
English tagger on PyPI, agrees on 96% of 1,525 replaceable words in 1,500 sentences of movie-snippets, would make 18%
more words replaceable, and tags 670 sentences a second on one core, where `Synonym` takes 3,300 to 21,000.
"""

import threading
from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import version
from itertools import accumulate
from typing import NamedTuple

from text_uda.augment.words import STOP_WORDS
from text_uda.text import wordnet
from text_uda.text.wordnet_tables import Synset, WordNetTables

# What the previous word tells about the part of speech; "to" leaves it open: to the point, to film, to films.
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
# How likely a part of speech is in a context, relative to 1 where the context tells nothing.
_CONTEXT_WEIGHTS = {
    "NOUN": {"NOUN": 1.0, "ADJ": 1.0, "ADV": 0.3, "VERB": 0.02},
    "VERB": {"VERB": 1.0, "ADV": 0.5, "NOUN": 0.05, "ADJ": 0.05},
    "TO": {"VERB": 1.0, "ADV": 0.3, "NOUN": 0.3, "ADJ": 0.3},
    "ADJ": {"ADJ": 1.0, "ADV": 1.0, "NOUN": 0.1, "VERB": 0.05},
}
_PARTICLES = frozenset("up out off down away back over apart".split())
_PREPOSITIONS = frozenset("regarding concerning including following considering according given past".split())

# Universal part-of-speech tag (of the inflection tables) -> WordNet's part of speech.
_PARTS_OF_SPEECH = {"NOUN": "noun", "VERB": "verb", "ADJ": "adjective", "ADV": "adverb"}
_MIN_TAG_SHARE = 0.85  # share of a word's occurrences that its likeliest reading needs to be accepted
_MIN_SHARED_SENSE = 0.5  # P(word means the shared sense) * P(synonym means it) that a synonym has to exceed
_MIN_RELATIVE_USE = 0.05  # uses of a synonym per use of the word; rarer ones sound odd: optic for eye
_FEW_USES = 3  # up to this count of the word, the uses of its synonyms tell nothing


class Phrase(NamedTuple):
    """A WordNet entry of several words that contains a word."""

    words: tuple[str, ...]
    position: int
    """Index of the word in it."""


_PhrasesByNeighbour = dict[str, tuple[Phrase, ...]]


class Candidates(NamedTuple):
    """The words that can replace a word in a context."""

    part_of_speech: str
    """noun, verb, adjective or adverb."""
    forms: tuple[str, ...]
    cumulative_weights: tuple[float, ...]
    """Running sums of the weights of the forms: how often the tagged texts use them in this sense."""
    has_antonym: bool
    """In the scope of a negation, a near synonym may mean something else."""
    phrases_by_next: _PhrasesByNeighbour
    """Phrases that contain the word, by the word that follows it there."""
    phrases_by_previous: _PhrasesByNeighbour
    """Phrases that end with the word, by the word before it there."""
    particles: frozenset[str]
    """Particles that make another verb of the word, even at a distance: turn it off."""


@lru_cache(maxsize=1 << 17)
def context_after(previous: str) -> str | None:
    """What the previous word tells about a word's part of speech: NOUN stands for a noun or an adjective."""
    if previous in _CONTEXTS or previous in STOP_WORDS:
        return _CONTEXTS.get(previous)
    counts = _reading_counts(previous)
    adjective = sum(count for (_, tag), count in counts.items() if tag == "ADJ")
    return "NOUN" if adjective > 0.9 * sum(counts.values()) else None


@lru_cache(maxsize=1 << 17)
def candidates_by_context(word: str) -> dict[str | None, Candidates]:
    """The candidates for a word in lower case, by `context_after` of the previous word.

    A context that leaves the part of speech or the sense unclear is absent; most words have no candidates.

    Raises:
        MissingPartError: there is no WordNet.
    """
    if word in STOP_WORDS or word in _PREPOSITIONS or not _reading_counts(word):
        return {}
    contexts = (None, "NOUN", "VERB", "TO", "ADJ", "PARTICIPLE")
    by_context = {context: _candidates(word, context) for context in contexts}
    return {context: candidates for context, candidates in by_context.items() if candidates is not None}


def _candidates(word: str, context: str | None) -> Candidates | None:
    reading = _clear_reading(word, context)
    if reading is None:
        return None
    lemma, tag = reading
    part_of_speech = _PARTS_OF_SPEECH[tag]
    weights: dict[str, float] = {}
    for synonym, weight in _synonyms(lemma, part_of_speech):
        form = _inflect_like(synonym, word, lemma, tag, context)
        if form is not None and form != word:
            weights[form] = weights.get(form, 0.0) + weight
    if not weights:
        return None
    forms = tuple(sorted(weights))
    cumulative = tuple(accumulate(weights[form] for form in forms))
    has_antonym = bool(antonyms(lemma, part_of_speech))
    return Candidates(part_of_speech, forms, cumulative, has_antonym, *_phrases(lemma, word, part_of_speech))


@lru_cache(maxsize=1 << 16)
def _phrases(
    lemma: str, word: str, part_of_speech: str
) -> tuple[_PhrasesByNeighbour, _PhrasesByNeighbour, frozenset[str]]:
    """`phrases_by_next`, `phrases_by_previous` and `particles` of the candidates."""
    by_next: _PhrasesByNeighbour = {}
    by_previous: _PhrasesByNeighbour = {}
    particles: set[str] = set()
    for form in {lemma, word}:
        for phrase in shared_lexicon().phrases.get(form, ()):
            position = phrase.index(form)
            is_last = position + 1 == len(phrase)
            phrases, neighbour = (by_previous, phrase[position - 1]) if is_last else (by_next, phrase[position + 1])
            phrases[neighbour] = (*phrases.get(neighbour, ()), Phrase(phrase, position))
            if part_of_speech == "verb" and position == 0 and len(phrase) == 2 and phrase[1] in _PARTICLES:
                particles.add(phrase[1])
    return by_next, by_previous, frozenset(particles)


def lexicon_versions() -> dict[str, str]:
    """Versions of the data that decide the candidates, for the settings of a method."""
    return {"wordnet": wordnet.version(), "lemminflect": version("lemminflect")}


# --- part of speech and sense -----------------------------------------------------------------------------------------


def _clear_reading(word: str, context: str | None) -> tuple[str, str] | None:
    """The lemma and part of speech of a word; None if another reading is likely too."""
    weights = {(lemma, tag): count * _weight(tag, context) for (lemma, tag), count in _reading_counts(word).items()}
    if not weights:
        return None
    lemma, tag = max(weights, key=lambda reading: weights[reading])
    if weights[lemma, tag] < _MIN_TAG_SHARE * sum(weights.values()) or _weight(tag, context) < 0.1:
        return None
    if tag == "VERB" and word != lemma and context != "VERB" and shared_lexicon().wordnet.senses(word, "adjective"):
        return None  # a compelling story, an animated film: participles that have become adjectives
    if tag == "VERB" and context not in ("VERB", "TO") and any(other != "VERB" for _, other in weights):
        return None  # vulgar and mean, a few artsy flourishes: nothing shows that it is a verb here
    return lemma, tag


@lru_cache(maxsize=1 << 16)
def _reading_counts(word: str) -> dict[tuple[str, str], float]:
    """How often a word is each (lemma, part-of-speech tag), by the inflection tables and WordNet's tagged texts."""
    totals: dict[tuple[str, str], float] = {}
    for tag, lemmas in shared_lexicon().lemmas(word).items():
        for lemma in lemmas if tag in _PARTS_OF_SPEECH else ():
            counts = shared_lexicon().wordnet.counts(lemma, _PARTS_OF_SPEECH[tag])
            if counts:
                totals[lemma, tag] = sum(counts) + 0.1 * len(counts)
    return totals


def _weight(tag: str, context: str | None) -> float:
    return _CONTEXT_WEIGHTS[context][tag] if context in _CONTEXT_WEIGHTS else 1.0


@lru_cache(maxsize=1 << 16)
def _synonyms(lemma: str, part_of_speech: str) -> tuple[tuple[str, float], ...]:
    """Words that share the frequent senses of a lemma and mostly mean them, each with its count in these senses + 1/2.

    P(a word means the shared senses) comes from the tagged texts, with 1/2 added to each count.
    """
    wordnet = shared_lexicon().wordnet
    senses, counts = wordnet.senses(lemma, part_of_speech), wordnet.counts(lemma, part_of_speech)
    names: dict[str, None] = {}
    for sense, count in zip(senses, counts, strict=True):
        if count or len(senses) == 1 or sense == senses[0]:
            names |= dict.fromkeys(wordnet.synset(part_of_speech, sense).words)
    synonyms = []
    for name in names:
        if name == lemma or name in STOP_WORDS or not name.isalpha() or not name.islower():
            continue  # the word itself, several words, a name
        if part_of_speech == "adverb" and name.endswith("ly") != lemma.endswith("ly"):
            continue  # "sure" cannot stand where "certainly" does
        name_senses, name_counts = wordnet.senses(name, part_of_speech), wordnet.counts(name, part_of_speech)
        shared = [
            sense
            for sense in senses
            if sense in name_senses and _same_syntax(wordnet.synset(part_of_speech, sense), lemma, name)
        ]
        uses = sum(counts[senses.index(sense)] for sense in shared)
        name_uses = sum(name_counts[name_senses.index(sense)] for sense in shared)
        if uses > _FEW_USES and name_uses < _MIN_RELATIVE_USE * uses:
            continue
        probability = (uses + 0.5 * len(shared)) / (sum(counts) + 0.5 * len(counts))
        name_probability = (name_uses + 0.5 * len(shared)) / (sum(name_counts) + 0.5 * len(name_counts))
        if probability * name_probability <= _MIN_SHARED_SENSE:
            continue
        if name not in antonyms(lemma, part_of_speech) and lemma not in antonyms(name, part_of_speech):
            synonyms.append((name, name_uses + 0.5))
    return tuple(synonyms)


def _same_syntax(synset: Synset, word: str, synonym: str) -> bool:
    """Same marker (only before a noun: the chief man; only after it), and the synonym has every frame of the verb."""
    frames = synset.frames
    same_marker = synset.words.get(word) == synset.words.get(synonym)
    return same_marker and frames.get(word, set()) <= frames.get(synonym, set())


@lru_cache(maxsize=1 << 16)
def antonyms(lemma: str, part_of_speech: str) -> frozenset[str]:
    """WordNet's antonyms of a word in any of its senses, and the words similar to one.

    An adjective also has the antonyms of the words that it is similar to: superb has bad, because it is like good.
    """
    wordnet = shared_lexicon().wordnet
    words: set[str] = set()
    for sense in wordnet.senses(lemma, part_of_speech):
        for similar in (sense, *wordnet.synset(part_of_speech, sense).similar):
            for antonym in wordnet.synset(part_of_speech, similar).antonyms:
                for opposed in (antonym, *wordnet.synset(part_of_speech, antonym).similar):
                    words.update(wordnet.synset(part_of_speech, opposed).words)
    return frozenset(words - {lemma})


# --- inflection -------------------------------------------------------------------------------------------------------


def _inflect_like(synonym: str, word: str, lemma: str, tag: str, context: str | None) -> str | None:
    """The synonym with the inflection that `word` has of `lemma`; None if the tables lack that form."""
    forms = _forms(lemma, tag)
    word_tags = [form for form, spellings in forms.items() if word in spellings]
    if {"VBD", "VBN"} <= set(word_tags):  # "walked" is both: the synonym needs one form for both, or a clear context
        word_tags = ["VBN"] if context == "PARTICIPLE" else ["VBD", "VBN"]
    synonym_forms = _forms(synonym, tag)
    spellings = {synonym_forms[form][0] for form in word_tags if form in synonym_forms}
    complete = word_tags and all(form in synonym_forms for form in word_tags)
    return spellings.pop() if complete and len(spellings) == 1 else None


@lru_cache(maxsize=1 << 16)
def _forms(lemma: str, tag: str) -> dict[str, tuple[str, ...]]:
    """The spellings of each form, by Penn tag. The tables omit a past participle equal to the past tense."""
    forms = shared_lexicon().forms(lemma, tag)
    return {"VBN": forms["VBD"]} | forms if "VBD" in forms else forms


# --- loading ----------------------------------------------------------------------------------------------------------


class Lexicon:
    """WordNet and the inflection tables, loaded once and then read by any number of threads."""

    def __init__(self) -> None:
        import lemminflect

        self.lemmas: Callable[[str], dict[str, tuple[str, ...]]] = lemminflect.getAllLemmas
        self.forms: Callable[..., dict[str, tuple[str, ...]]] = lemminflect.getAllInflections
        for look_up in (self.lemmas, self.forms):
            look_up("movie")  # loads the table in this thread, before others ask
        self.wordnet = WordNetTables()
        self.phrases: dict[str, list[tuple[str, ...]]] = {}
        """The phrases of WordNet by each of their words, except stop words, which are never replaced."""
        for phrase in self.wordnet.phrases():
            if "it" not in phrase:  # "buy it" is slang for dying, but mostly means to buy it
                for word in set(phrase) - STOP_WORDS:
                    self.phrases.setdefault(word, []).append(phrase)


_loading = threading.Lock()
_loaded: list[Lexicon] = []


def shared_lexicon() -> Lexicon:
    """The lexicon; the first call loads it, in one thread.

    Raises:
        MissingPartError: there is no WordNet.
    """
    return _loaded[0] if _loaded else _load()


def _load() -> Lexicon:
    with _loading:
        if not _loaded:
            _loaded.append(Lexicon())
        return _loaded[0]
