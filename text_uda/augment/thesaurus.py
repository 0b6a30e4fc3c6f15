"""Which words may stand for a word where it stands: WordNet's synonyms of the sense that it has there."""

import re
import threading
from collections import Counter
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import NamedTuple

from text_uda.wordnet import gloss_pairs, gloss_words, sense_counts, wordnet

# Words that carry grammar, a negation, or too many senses; a synonym of theirs makes another sentence.
KEPT = frozenset(
    """a about above after again against all almost already also although always am among an and another any anybody
    anyone anything are around as at away back be became because become been before behind being below between both but
    by came can cannot come comes coming could did do does doing done down during each either else enough even ever every
    everybody everyone everything except few first for from further gave get gets getting give given gives giving go
    goes going gone got had hardly has have having he hence her here hers herself him himself his how however i if in
    indeed instead into is it its itself just keep keeps kept know known knows last least less let lets like likes
    little lot lots made make makes making many may me might mine more most much must my myself neither never next no
    nobody none nor not nothing now nowhere of off often on once one ones only onto or other others otherwise our ours
    ourselves out over own per perhaps put puts quite rather really said same saw say says see seen sees several shall
    she should since so some somebody someone something sometimes somewhere soon still such take taken takes taking than
    that the their theirs them themselves then there therefore these they thing things this those though three through
    thus till to together too took toward towards twice two under unless until up upon us use used very was way ways we
    well went were what whatever when where whether which while who whole whom whose why will with within without won
    would yes yet you your yours yourself yourselves""".split()  # noqa: SIM905 (a list of words reads as words)
)

# Small words that the word before them asks for.
GOVERNED = ("of", "on", "to", "with", "for", "from", "in", "at", "about", "into", "upon", "that", "by", "as")

_RUDE = re.compile(r"obscen|vulgar|slang|offensive|disparag|derogat|insult|slur\b")  # of definitions

# Universal part of speech, of the inflection tables -> WordNet's.
_PARTS = {"NOUN": "n", "VERB": "v", "ADJ": "a", "ADV": "r"}
_PLAIN = {"NOUN": "NN", "ADJ": "JJ", "ADV": "RB"}  # the tag of the uninflected form

# The class of the word before or after -> how well each part of speech fits there.
_FITS_AFTER: dict[str | None, dict[str, float]] = {
    None: {"NOUN": 1.0, "VERB": 1.0, "ADJ": 1.0, "ADV": 1.0},
    "determiner": {"NOUN": 1.0, "VERB": 0.02, "ADJ": 1.0, "ADV": 0.3},
    "adjective": {"NOUN": 1.0, "VERB": 0.05, "ADJ": 0.5, "ADV": 0.05},
    "in": {"NOUN": 1.0, "VERB": 0.1, "ADJ": 1.0, "ADV": 0.3},
    "preposition": {"NOUN": 1.0, "VERB": 0.1, "ADJ": 1.0, "ADV": 0.3},
    "subject": {"NOUN": 0.05, "VERB": 1.0, "ADJ": 0.05, "ADV": 0.5},
    "degree": {"NOUN": 0.1, "VERB": 0.05, "ADJ": 1.0, "ADV": 1.0},
    "be": {"NOUN": 0.3, "VERB": 1.0, "ADJ": 1.0, "ADV": 1.0},
}
_FITS_BEFORE: dict[str | None, dict[str, float]] = {
    None: {"NOUN": 1.0, "VERB": 1.0, "ADJ": 1.0, "ADV": 1.0},
    "of": {"NOUN": 1.0, "VERB": 0.2, "ADJ": 0.5, "ADV": 0.2},
    **{word: {"NOUN": 1.0, "VERB": 1.0, "ADJ": 1.0, "ADV": 1.0} for word in GOVERNED if word != "of"},
    "determiner": {"NOUN": 0.3, "VERB": 1.0, "ADJ": 0.1, "ADV": 1.0},
    "verb": {"NOUN": 1.0, "VERB": 0.1, "ADJ": 0.3, "ADV": 1.0},
    "noun": {"NOUN": 0.5, "VERB": 0.3, "ADJ": 1.0, "ADV": 0.3},
}
_CLASSES_BEFORE = {
    word: name
    for name, words in {
        "determiner": "a an the this that these those my your his her its our their no every each some any 's",
        "in": "in on at by",
        "preposition": "of for from with without into onto about between among through as than like",
        "subject": "to will would can could may might must shall should i you we they who cannot don't doesn't didn't",
        "degree": "very so too quite rather really more most less least",
        "be": "be am is are was were been being have has had having isn't wasn't aren't weren't it's that's he's she's",
    }.items()
    for word in words.split()
}
_CLASSES_AFTER = {
    word: name
    for name, words in {
        **{word: word for word in GOVERNED},
        "determiner": "a an the his her their my our your its this these him them us me it",
        "verb": "is are was were has had will would can could may might must should does did isn't wasn't who",
    }.items()
    for word in words.split()
}

_CLEAR = 0.85  # share of a word's uses that its part of speech has to have, to be believed
_SHARED = 0.5  # share of the uses of a word, and of its synonym, that their common senses have to have
_GOES = 0.2  # share of a word's frequency before a small word that a synonym has to have there as well
_NEEDS = 0.4  # share of its uses before a small word from which on a word needs it
_SELDOM = 30  # how many times less often than the other word one may be seen in the common senses
_COMMON = 6  # uses, in WordNet's tagged texts and glosses, that a synonym has to have at least
_RARER = 100  # how many times rarer than the word it may be


class Candidates(NamedTuple):
    """What may take the place of a word."""

    lemma: str
    words: tuple[str, ...]
    weights: tuple[float, ...]
    """How likely each is drawn; in sum 1."""
    ours: frozenset[str]
    """Words of the glosses of the senses that are meant."""
    others: frozenset[str]
    """Those of the other senses: a text that has more of them is not replaced."""


NONE = Candidates("", (), (), frozenset(), frozenset())

_looking_up = threading.Lock()  # NLTK's reader moves in a file


def candidates(words: Sequence[str], place: int) -> Candidates:
    """Synonyms of the word at `place` among words in lower case, inflected as it is.

    There are none where its part of speech or its sense is not clear, and none for half of an expression such as
    `elementary school`. An empty string among the words stands for punctuation that parts them.
    """
    word = words[place]
    if word in KEPT:
        return NONE
    before = words[place - 1] if place else ""
    after = words[place + 1] if place + 1 < len(words) else ""
    found = _candidates(word, _class_before(before), _class_after(after))
    return NONE if not found.words or _in_expression(words, place, found.lemma) else found


def _class_before(word: str) -> str | None:
    if word in _CLASSES_BEFORE or not word or word in KEPT:
        return _CLASSES_BEFORE.get(word)
    return "adjective" if _part_alone(word) == "ADJ" else None


def _class_after(word: str) -> str | None:
    if word in _CLASSES_AFTER or not word or word in KEPT:
        return _CLASSES_AFTER.get(word)
    return "noun" if _part_alone(word) == "NOUN" else None


@lru_cache(maxsize=1 << 17)
def _candidates(word: str, before: str | None, after: str | None) -> Candidates:
    with _looking_up:
        reading = _reading(word, before, after)
        if reading is None:
            return NONE
        lemma, part = reading
        if part == "NOUN" and (after == "noun" or (before == "in" and word == lemma)):
            return NONE  # half of a compound or of an adverbial: a film crew, in part
        weights: dict[str, float] = {}
        for synonym, weight in _synonyms(lemma, _PARTS[part]):
            form = _inflected(synonym, word, lemma, part, before)
            if form is not None and form not in KEPT and not _akin(form, word) and _goes_before(after, synonym, lemma):
                weights[form] = weights.get(form, 0.0) + weight
        if not weights:
            return NONE
        forms = tuple(sorted(weights))
        total = sum(weights.values())
        ours, others = _surroundings(lemma, _PARTS[part])
        return Candidates(lemma, forms, tuple(weights[form] / total for form in forms), ours, others)


# --- part of speech ---------------------------------------------------------------------------------------------------


def _reading(word: str, before: str | None, after: str | None) -> tuple[str, str] | None:
    """The lemma and part of speech of a word, or None where another one is likely too."""
    ing = word.endswith("ing")
    fitting: dict[tuple[str, str], float] = {}
    for (lemma, part), uses in _readings(word).items():
        fit = _FITS_AFTER[before][part] * _FITS_BEFORE[after][part]
        if part == "VERB" and before == "be" and word == lemma:
            fit *= 0.02
        if part == "VERB" and before in ("in", "preposition") and ing:
            fit = 1.0  # without knowing
        fitting[lemma, part] = uses * fit
    if not fitting:
        return None
    lemma, part = max(fitting, key=lambda reading: fitting[reading])
    if fitting[lemma, part] < _CLEAR * sum(fitting.values()) or _FITS_AFTER[before][part] < 0.1:
        return None
    if part == "VERB" and word != lemma and before != "subject" and wordnet().synsets(word, "a"):
        return None  # a compelling story, an animated film: participles that have become adjectives
    return lemma, part


@lru_cache(maxsize=1 << 16)
def _part_alone(word: str) -> str | None:
    """The part of speech of a word that has only one."""
    with _looking_up:
        readings = _readings(word)
    total = sum(readings.values())
    return next((part for (_, part), uses in readings.items() if uses > _CLEAR * total), None)


@lru_cache(maxsize=1 << 16)
def _readings(word: str) -> dict[tuple[str, str], float]:
    """How often a word is which (lemma, part of speech), by the tables and the tagged texts of WordNet."""
    import lemminflect

    pairs = {  # a table; the rules for words that it does not have are not asked
        (lemma, part) for part, lemmas in lemminflect.getAllLemmas(word).items() if part in _PARTS for lemma in lemmas
    }
    pairs |= {(word, "ADJ")} if word.endswith("ing") else set()  # the tables have a compelling one as a verb only
    uses: dict[tuple[str, str], float] = {}
    for lemma, part in sorted(pairs):
        senses = _senses(lemma, _PARTS[part])
        if senses:
            uses[lemma, part] = sum(senses.values()) - 0.4 * len(senses)
    return uses


# --- senses -----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1 << 16)
def _senses(lemma: str, part: str) -> dict[str, float]:
    """Uses of each sense of a lemma in the tagged texts, half a use for one that is not in them."""
    found: dict[str, float] = {}
    for sense in wordnet().synsets(lemma, part):
        keys = [each.key() for each in sense.lemmas() if each.name().lower() == lemma]
        if keys:  # else WordNet has found it by an inflection of its own
            found[sense.name()] = sense_counts().get(keys[0], 0) + 0.5
    return found


@lru_cache(maxsize=1 << 16)
def _synonyms(lemma: str, part: str) -> list[tuple[str, float]]:
    """Words that mostly mean what the lemma mostly means, weighted by how often they are used to mean it."""
    senses = _senses(lemma, part)
    total = sum(senses.values())
    synsets = [wordnet().synset(sense) for sense in senses]
    names = {each.name() for synset in synsets if not _RUDE.search(synset.definition()) for each in synset.lemmas()}
    found = []
    for name in sorted(names - KEPT - {lemma}):
        if not re.fullmatch(r"(?=.*[aeiouy])[a-z]{3,}", name):
            continue  # several words, a name, an abbreviation
        if part == "r" and name.endswith("ly") != lemma.endswith("ly"):
            continue  # certainly is no sure, and easily no easy, where they stand
        own = _senses(name, part)
        meant = sum(uses for sense, uses in senses.items() if sense in own) / total
        means = sum(uses for sense, uses in own.items() if sense in senses) / sum(own.values())
        if meant < _SHARED or means < _SHARED or not _mostly(name, part):
            continue
        if not _seen(senses, own) or not _seen(own, senses):
            continue
        uses = gloss_words()[name] + sum(own.values())
        if uses >= max(_COMMON, (gloss_words()[lemma] + total) / _RARER):
            found.append((name, means * uses))
    return found


def _seen(one: dict[str, float], other: dict[str, float]) -> bool:
    """Was a word seen in the senses that it shares, and not too seldom beside the other? One sense needs no witness."""
    here = sum(uses - 0.5 for sense, uses in one.items() if sense in other)
    there = sum(uses - 0.5 for sense, uses in other.items() if sense in one)
    return here >= there / _SELDOM if len(one) == 1 or here else False


def _mostly(name: str, part: str) -> bool:
    """Is this part of speech the one that a word mostly has, and is it no inflection of another?"""
    readings = _readings(name)
    own = sum(uses for (lemma, its), uses in readings.items() if lemma == name and _PARTS[its] == part)
    return own >= _SHARED * sum(readings.values()) > 0


def _goes_before(after: str | None, synonym: str, lemma: str) -> bool:
    """Does the synonym go with the small word that follows, as far as the glosses show it?

    They rely *on* it, which one who trusts it does not; it happens *to* be so, and does not occur to be so.
    """
    single, pairs = gloss_words(), gloss_pairs()
    for small in GOVERNED:
        usual = pairs[lemma, small] / max(1, single[lemma])
        own = pairs[synonym, small] / max(1, single[synonym])
        if small == after and own < usual * _GOES and single[synonym] * usual > 2:
            return False
        if small != after and own > _NEEDS and usual < own * _GOES:
            return False
    return True


def _surroundings(lemma: str, part: str) -> tuple[frozenset[str], frozenset[str]]:
    """Words of the glosses of the most frequent sense, and those of the glosses of the other ones alone."""
    first, *rest = (_gloss(sense) - {lemma} for sense in _senses(lemma, part))
    return first, frozenset().union(*rest) - first


@lru_cache(maxsize=1 << 16)
def _gloss(sense: str) -> frozenset[str]:
    synset = wordnet().synset(sense)
    texts = [synset.definition(), *synset.examples()]
    words = {singular(word) for text in texts for word in re.findall(r"[a-z]{3,}", text.lower())}
    return frozenset(words - KEPT)


def singular(word: str) -> str:
    """Roughly: enough to find a word among others."""
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word


# --- forms ------------------------------------------------------------------------------------------------------------


def _inflected(synonym: str, word: str, lemma: str, part: str, before: str | None) -> str | None:
    """The synonym in the form that the word has of its lemma, from the tables; None where they have no such form."""
    import lemminflect

    forms = lemminflect.getAllInflections(lemma, upos=part)
    tags = {tag for tag, spellings in forms.items() if word in spellings}
    if word == lemma and not tags & {"VBD", "VBN"}:
        return synonym
    if part == "VERB" and {"VBD", "VBN"} <= tags and word != lemma:
        # walked, and had walked: what is alike in both, or the one that the word before tells.
        tags = {"VBN"} if before == "be" else {"VBD", "VBN"}
    others = lemminflect.getAllInflections(synonym, upos=part)
    found = {others[tag][0] for tag in tags if tag in others}
    return found.pop() if tags and len(found) == 1 and tags <= others.keys() else None


def _akin(one: str, other: str) -> bool:
    """Spellings of one word, or words of one stem: theater and theatre, sin and sinfulness. They change nothing."""
    shorter, longer = sorted((one, other), key=len)
    common = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(shorter))
    if common >= max(3, 0.7 * len(shorter)) or sorted(one) == sorted(other):
        return True
    if len(one) == len(other):
        return sum(a != b for a, b in zip(one, other, strict=True)) <= 1
    letters = iter(longer)
    return len(longer) - len(shorter) == 1 and all(letter in letters for letter in shorter)


# --- expressions ------------------------------------------------------------------------------------------------------


@cache
def _expressions() -> frozenset[str]:
    """WordNet's entries of two and three words."""
    with _looking_up:
        names = Counter(wordnet().all_lemma_names())
    return frozenset(name.lower() for name in names if 1 <= name.count("_") <= 2)


def _in_expression(words: Sequence[str], place: int, lemma: str) -> bool:
    known = _expressions()
    word = words[place]
    before = words[max(0, place - 2) : place]
    after = words[place + 1 : place + 3]
    for form in {word, lemma}:
        if after and (f"{form}_{after[0]}" in known or f"{form}_{singular(after[0])}" in known):
            return True
        if before and f"{before[-1]}_{form}" in known:
            return True
        if len(after) > 1 and f"{form}_{after[0]}_{after[1]}" in known:
            return True
        if before and after and f"{before[-1]}_{form}_{after[0]}" in known:
            return True
        if len(before) > 1 and f"{before[0]}_{before[1]}_{form}" in known:
            return True
    return False
