"""The words of a text: where they stand, which of them may be edited, and edits that leave every other byte alone."""

import re
import unicodedata
from bisect import bisect
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

_APOSTROPHES = "'’‘ʼ`´′＇"
_WORD = re.compile(rf"[^\W\d_]+(?:[{_APOSTROPHES}][^\W\d_]+)*")
_NOT = re.compile(rf"n[{_APOSTROPHES}]t$")
_NO_PROSE = re.compile(r"://|www\.|[@#_/\\<>{}=|&$%+^~]|\w\.\w|\d[^\W\d]|[^\W\d]\d")  # of addresses, tags, paths, code
_SENTENCE_END = re.compile(r"[.!?…]['\"”’»)\]]*$")
_TITLE = re.compile(
    r"[(\[\"'“‘]*(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|St|Rev|Gen|Col|Capt|Lt|Sgt|Gov|Sen|Rep)\."
)  # a name follows
_CLAUSE_END = re.compile(r"[,;:()\[\]–—]['\"”’»]*$|^[-–—]+$")
_JOINTS = _APOSTROPHES + "-*‑\u200d\u200c\u00ad"

NEGATIONS = frozenset(
    """no nor not none never nothing nobody nowhere neither cannot without hardly scarcely barely aint arent cant
    rarely seldom couldnt didnt doesnt dont hadnt hasnt havent isnt mustnt shouldnt wasnt werent wont wouldnt""".split()
)

# With them a negation and what it does not deny part: not dull but touching.
TURNING = frozenset("but because though although while whereas yet since".split())

# After a negation, these take it back in part: without "only", or with it elsewhere, "not only dull" is "not dull".
LIMITING = frozenset("only just merely simply but".split())

# Words that carry grammar or a negation; in place of one, or without it, a sentence is another one.
STOP_WORDS = NEGATIONS | frozenset(
    """a about above after again against all almost already also although always am among an and another any anybody
    anyone anything are around as at away back be became because become been before behind being below between
    both but by came can could did do does doing done down during each either else enough even ever every
    everybody everyone everything except few first for from further gave get gets getting give given go goes
    going gone got had has have having he hence her here hers herself him himself his how however i if in
    indeed instead into is it its itself just keep kept know last least less let like little lot lots made make
    makes making many may me might mine more most much must my myself neither next now
    of off often on once one ones only onto or other others otherwise our ours ourselves out
    over own per perhaps put quite rather really said same saw say says see seen several shall she should since
    so some somebody someone something sometimes somewhere soon still such take taken than that the their theirs
    them themselves then there therefore these they thing things this those though three through thus to
    together too took toward towards twice two under unless until up upon us very was way we well went were what
    whatever when where whether which while who whole whom whose why will with within would yes yet
    you your yours yourself yourselves""".split()
)


class Word(NamedTuple):
    text: str
    start: int
    end: int
    lower: str
    plain: bool
    """A word of prose that may be edited: no name, no part of an address, tag, number, contraction or compound."""
    before: str
    """The word before it in the same clause, in lower case; "" for none."""
    begins: bool
    """First of a sentence, where a capital says nothing."""
    negated: bool
    """In the scope of a negation: one stands before it in the clause."""
    stretch: int
    """Number of the stretch of words that no end of a clause, no negation and, after one, no `but` divides."""


def words(text: str) -> list[Word]:
    """The words of a text, in order. Time is linear."""
    found: list[Word] = []
    make, keep = tuple.__new__, found.append  # Word(...) itself takes twice the time
    before, begins, negated, stretch = "", True, False, 0
    offset = 0
    for chunk in text.split():
        offset = text.index(chunk, offset)
        inner, ends_sentence, ends_clause = _CHUNKS[chunk]
        for start, end, word, lower, plain, plain_within, negation in inner:
            divides = negation or (negated and lower in TURNING)
            stretch += divides
            place = (offset + start, offset + end)
            keep(make(Word, (word, *place, lower, plain if begins else plain_within, before, begins, negated, stretch)))
            before, begins = lower, False
            stretch += divides
            negated = negated or negation
        if ends_sentence or ends_clause:
            before, begins, negated = "", ends_sentence or (begins and not inner), False
            stretch += 1
        offset += len(chunk)
    return _without_tags(text, found) if "<" in text else found


_TAG = re.compile(r"</?[A-Za-z][^<>]*>")


def _without_tags(text: str, found: list[Word]) -> list[Word]:
    """The words, of which those inside of a tag, such as in its attributes, may not be edited."""
    tags = [tag.span() for tag in _TAG.finditer(text)]

    def inside(word: Word) -> bool:
        at = bisect(tags, (word.start, len(text))) - 1
        return at >= 0 and word.start < tags[at][1]

    return [word._replace(plain=False) if word.plain and inside(word) else word for word in found]


_Part = tuple[int, int, str, str, bool, bool, bool]
_Chunk = tuple[tuple[_Part, ...], bool, bool]


class _Chunks(dict[str, _Chunk]):
    """What is known of each chunk, made when it is first asked for: a text has few that were not in another one."""

    def __missing__(self, chunk: str) -> _Chunk:
        if len(self) >= 1 << 17:
            self.clear()
        self[chunk] = made = _chunk(chunk)
        return made


_CHUNKS = _Chunks()


def _chunk(chunk: str) -> _Chunk:
    """The words of what stands between white space; whether a sentence or a clause ends with it.

    Of each word: start, end, text, lower case, whether it may be edited where it begins a sentence, and elsewhere
    (where a capital is a name's), whether it is a negation.
    """
    title = bool(_TITLE.fullmatch(chunk))
    prose = not title and not _NO_PROSE.search(chunk)
    parts = []
    for match in _WORD.finditer(chunk):
        word, (start, end) = match[0], match.span()
        beside = chunk[max(0, start - 1) : start] + chunk[end : end + 1]
        joined = any(each in _JOINTS or _combines(each) for each in beside)
        lower = word.lower()
        plain = prose and not joined and word.isascii() and word.isalpha() and (word.islower() or word.istitle())
        negation = is_negation(lower)
        parts.append((start, end, word, lower, plain, plain and not word[0].isupper(), negation))
    ends = not title and bool(_SENTENCE_END.search(chunk))
    return tuple(parts), ends, bool(_CLAUSE_END.search(chunk))


def is_negation(word: str) -> bool:
    """Of a word in lower case."""
    return word in NEGATIONS or bool(_NOT.search(word))


def _combines(character: str) -> bool:
    """Whether it is a mark on the letter before it, such as an accent."""
    return unicodedata.category(character).startswith("M")


# --- edits ------------------------------------------------------------------------------------------------------------


class Edit(NamedTuple):
    """`new` in the place of what stands from `start` to `end`; an insertion where the two are one."""

    start: int
    end: int
    new: str


def edited(text: str, edits: Iterable[Edit]) -> str:
    """The text with these edits, which are in order and do not overlap; every other byte stays."""
    parts, last = [], 0
    for start, end, new in edits:
        assert start >= last, "edits overlap"
        parts += [text[last:start], new]
        last = end
    return "".join([*parts, text[last:]])


def in_case_of(old: str, new: str) -> str:
    """`new` with a capital where `old` begins with one."""
    return new[0].upper() + new[1:] if old[0].isupper() else new


def with_articles(text: str, found: Sequence[Word], edits: Sequence[Edit]) -> list[Edit]:
    """The edits, and with them those that make `a` an `an`, or the other way, before a word that they replace.

    Args:
        found: the words of the text.
        edits: replacements of whole words, in order.
    """
    at = {word.start: index for index, word in enumerate(found)}
    replaced = {edit.start for edit in edits}
    repaired: list[Edit] = []
    for edit in edits:
        index = at.get(edit.start, 0)
        article = found[index - 1] if index else None
        if (
            article is not None
            and article.lower in ("a", "an")
            and article.start not in replaced
            and edit.new
            and not text[article.end : edit.start].strip()
        ):
            right = "an" if begins_with_vowel(edit.new.lower()) else "a"
            if right != article.lower:
                repaired.append(Edit(article.start, article.end, in_case_of(article.text, right)))
        repaired.append(edit)
    return repaired


def with_articles_of(text: str, source: Sequence[Word]) -> str:
    """A text of which words were moved, left out or put in: `a` or `an` as the word that now follows asks for it.

    Args:
        source: the words before; an article that stands before the same word as there stays as it is.
    """
    before = {(word.lower, follows.lower) for word, follows in pairwise(source)}
    edits = []
    for article, follows in pairwise(words(text)):
        if article.lower not in ("a", "an") or (article.lower, follows.lower) in before:
            continue
        right = "an" if begins_with_vowel(follows.lower) else "a"
        if article.plain and right != article.lower and not text[article.end : follows.start].strip():
            edits.append(Edit(article.start, article.end, in_case_of(article.text, right)))
    return edited(text, edits)


_SILENT_H = ("hour", "honest", "honor", "honour", "heir")
_SPOKEN_CONSONANT = re.compile(
    r"uni(?!n|m|dent|deal|llum|ron|ss)|unanim|us[aeu]|eu|ewe|one\b|once|ut[eio]|ubi|ur[aeiou]|uk[eru]|ufo"
)


def begins_with_vowel(word: str) -> bool:
    """As it is spoken, of a word in lower case: an hour, a useful thing, a one."""
    return word.startswith(_SILENT_H) or (word[0] in "aeiou" and not _SPOKEN_CONSONANT.match(word))
