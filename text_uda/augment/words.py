"""The words of a text: their offsets, which of them are editable, and edits that leave every other byte unchanged."""

import re
import unicodedata
from bisect import bisect
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import pairwise
from operator import itemgetter
from typing import NamedTuple

from text_uda.text.language import ANY, sentence_is_in, sentences_in
from text_uda.text.line_breaks import mask_line_breaks

_APOSTROPHES = "'’‘ʼ`´′＇"
_WORD = re.compile(rf"[^\W\d_]+(?:[{_APOSTROPHES}][^\W\d_]+)*")
_NOT = re.compile(rf"n[{_APOSTROPHES}]t$")
_ELIDED_NOT = re.compile(rf"n[{_APOSTROPHES}]")  # n'est
_NOT_PROSE = re.compile(r"://|www\.|[@#_/\\<>{}=|&$%+^~]|\w\.\w|\d[^\W\d]|[^\W\d]\d")  # addresses, tags, paths, code
_SENTENCE_END = re.compile(r"[.!?…]['\"”’»)\]]*$")
# A name follows.
_TITLE = re.compile(r"[(\[\"'“‘]*(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|St|Rev|Gen|Col|Capt|Lt|Sgt|Gov|Sen|Rep)\.")
_CLAUSE_END = re.compile(r"[,;:()\[\]–—]['\"”’»]*$|^[-–—]+$")
_JOINTS = _APOSTROPHES + "-*‑\u200d\u200c\u00ad"

NEGATIONS = frozenset(
    """no nor not none never nothing nobody nowhere neither cannot without hardly scarcely barely aint arent cant
    rarely seldom couldnt didnt doesnt dont hadnt hasnt havent isnt mustnt shouldnt wasnt werent wont wouldnt""".split()
)
_NEGATIONS_OF = {
    language: frozenset(words.split())
    for language, words in {
        "en": " ".join(NEGATIONS),
        "de": "nicht kein keine keinen keinem keiner keines nie niemals nichts niemand ohne kaum weder noch",
        "es": "no nunca jamás nada nadie ningún ninguna ninguno sin tampoco ni apenas",
        "fr": "ne n pas jamais rien personne aucun aucune sans ni plus guère",
        "it": "non mai niente nulla nessun nessuno nessuna senza né neanche nemmeno neppure",
        "nl": "niet geen nooit niets niemand zonder noch nauwelijks",
        "pt": "não nunca jamais nada ninguém nenhum nenhuma sem nem tampouco",
        "ca": "no mai res ningú cap sense ni tampoc",
    }.items()
}

# They end the scope of a negation: not dull but touching.
CONTRAST_WORDS = frozenset("but because though although while whereas yet since".split())

# After a negation, these take part of it back: "not dull" differs from "not only dull".
LIMITING_WORDS = frozenset("only just merely simply but".split())

# Function words and negations: replacing or deleting one changes the meaning of the sentence.
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
    lowercase: str
    editable: bool
    """A word of prose: no name, no part of an address, tag, number, contraction or compound."""
    previous: str
    """The previous word of the same clause, in lower case; "" if there is none."""
    starts_sentence: bool
    """A capital here does not make the word a name."""
    negated: bool
    """In the scope of a negation, which stands before it in the clause."""
    segment: int
    """Number of the run of words that no clause end, no negation and, in its scope, no contrast word divides."""


def find_words(text: str, language: str = "en") -> list[Word]:
    """The words of a text, in order, in linear time.

    Args:
        language: whose negations to know, by its two-letter code, or `any`; for another one than English, words with
            letters other than those of English are editable, too.
    """
    chunks = _chunks_of(language)
    words: list[Word] = []
    make, append = tuple.__new__, words.append  # Word(...) takes twice the time
    previous, starts_sentence, negated, segment = "", True, False, 0
    offset = 0
    lines = mask_line_breaks(text, ".", " ")
    for chunk in lines.split():
        offset = lines.index(chunk, offset)
        parts, ends_sentence, ends_clause = chunks[chunk]
        for start, end, word, lowercase, editable_at_start, editable_within, negation in parts:
            divides = negation or (negated and lowercase in CONTRAST_WORDS)
            segment += divides
            span = (offset + start, offset + end)
            editable = editable_at_start if starts_sentence else editable_within
            append(make(Word, (word, *span, lowercase, editable, previous, starts_sentence, negated, segment)))
            previous, starts_sentence = lowercase, False
            segment += divides
            negated = negated or negation
        if ends_sentence or ends_clause:
            previous, starts_sentence, negated = "", ends_sentence or (starts_sentence and not parts), False
            segment += 1
        offset += len(chunk)
    return _protect_tags(text, words) if "<" in text else words


_STARTS_SENTENCE = itemgetter(Word._fields.index("starts_sentence"))


def words_in(text: str, language: str) -> list[Word] | None:
    """The words; those of sentences in another language are not editable. None if all sentences are in another one.

    In another language than English, `a` and `an` are no articles, and not editable.

    Args:
        language: a two-letter code, or `any`.
    """
    words = find_words(text, language)
    if language == ANY or not words:
        return words
    if language == "en" and [*map(_STARTS_SENTENCE, words)].count(True) == 1:  # most texts: no need to divide them
        return None if sentence_is_in(language, _judged(words)) is False else words
    starts = [index for index, word in enumerate(words) if word.starts_sentence]
    sentences = [words[start:end] for start, end in pairwise([*starts, len(words)])]
    verdicts = sentences_in(language, [*map(_judged, sentences)])
    if all(verdicts) and language == "en":
        return words
    if not any(verdicts):
        return None
    for start, sentence, verdict in zip(starts, sentences, verdicts, strict=True):
        if not verdict:
            words[start : start + len(sentence)] = [word._replace(editable=False) for word in sentence]
    if language != "en":
        words = [word._replace(editable=False) if word.lowercase in ("a", "an") else word for word in words]
    return words


def _judged(sentence: Sequence[Word]) -> list[str]:
    """The words that tell the language of a sentence: without those that its capitals make names."""
    if not any(word.text.islower() or word.text.istitle() for word in sentence):  # all in capitals
        return [word.lowercase for word in sentence]
    return [word.lowercase for word in sentence if word.starts_sentence or not word.text[0].isupper()]


_TAG = re.compile(r"</?[A-Za-z][^<>]*>")


def _protect_tags(text: str, words: list[Word]) -> list[Word]:
    """Mark the words inside tags, such as attributes, as not editable."""
    tags = [tag.span() for tag in _TAG.finditer(text)]

    def is_in_tag(word: Word) -> bool:
        index = bisect(tags, (word.start, len(text))) - 1
        return index >= 0 and word.start < tags[index][1]

    return [word._replace(editable=False) if word.editable and is_in_tag(word) else word for word in words]


_Part = tuple[int, int, str, str, bool, bool, bool]
_Chunk = tuple[tuple[_Part, ...], bool, bool]


class _Chunks(dict[str, _Chunk]):
    """Parsed chunks, cached: most chunks of a text occur in other texts too."""

    def __init__(self, language: str) -> None:
        super().__init__()
        self.language = language

    def __missing__(self, chunk: str) -> _Chunk:
        if len(self) >= 1 << 17:
            self.clear()
        self[chunk] = parsed = _parse_chunk(chunk, self.language)
        return parsed


_chunks_of = cache(_Chunks)


def _parse_chunk(chunk: str, language: str) -> _Chunk:
    """The words of a chunk of non-space characters, whether it ends a sentence, and whether it ends a clause.

    Each word is (start, end, text, lower case, editable at the start of a sentence, editable elsewhere, negation); a
    capital makes a word a name, except at the start of a sentence.
    """
    title = bool(_TITLE.fullmatch(chunk))
    prose = not title and not _NOT_PROSE.search(chunk)
    parts = []
    for match in _WORD.finditer(chunk):
        word, (start, end) = match[0], match.span()
        neighbours = chunk[max(0, start - 1) : start] + chunk[end : end + 1]
        joined = any(character in _JOINTS or _combines(character) for character in neighbours)
        lowercase = word.lower()
        editable = prose and not joined and word.isalpha() and (word.islower() or word.istitle())
        editable = editable and (language != "en" or word.isascii())
        negation = is_negation(lowercase, language)
        parts.append((start, end, word, lowercase, editable, editable and not word[0].isupper(), negation))
    ends_sentence = not title and bool(_SENTENCE_END.search(chunk))
    return tuple(parts), ends_sentence, bool(_CLAUSE_END.search(chunk))


def is_negation(word: str, language: str = "en") -> bool:
    """Whether a word in lower case negates; in `any` language if it does in one."""
    if word in negations_of(language):
        return True
    if language in ("en", ANY) and _NOT.search(word):
        return True
    return language in ("fr", ANY) and bool(_ELIDED_NOT.match(word))


@cache
def negations_of(language: str) -> frozenset[str]:
    """The listed negations of a language, those of all languages for `any`; none for a language without a list."""
    if language == ANY:
        return frozenset().union(*_NEGATIONS_OF.values())
    return _NEGATIONS_OF.get(language, frozenset())


def _combines(character: str) -> bool:
    """Whether it combines with the letter before it, as an accent does."""
    return unicodedata.category(character).startswith("M")


_ADVERB = re.compile(r"[a-z]{4,}ly")
_NAMES_LIKE_ADVERBS = frozenset("beverly kimberly connelly donnelly kennelly".split())


def may_be_name(word: Word) -> bool:
    """Whether a word with a capital starts a sentence and may be a name: Frank is good, Subway sandwiches.

    Adverbs in -ly are none. They are 42% of the first words with a synonym in movie-snippets.
    """
    is_first_capital = word.starts_sentence and word.text[0].isupper()
    adverb = _ADVERB.fullmatch(word.lowercase) and word.lowercase not in _NAMES_LIKE_ADVERBS
    return is_first_capital and not adverb


# --- edits ------------------------------------------------------------------------------------------------------------


class Edit(NamedTuple):
    """Replaces the characters from `start` to `end` by `new`; an insertion if both are equal."""

    start: int
    end: int
    new: str


def apply_edits(text: str, edits: Iterable[Edit]) -> str:
    """The text after the edits, which are in order and do not overlap; every other byte stays."""
    parts, last = [], 0
    for start, end, new in edits:
        assert start >= last, "edits overlap"
        parts += [text[last:start], new]
        last = end
    return "".join([*parts, text[last:]])


def with_capital_of(old: str, new: str) -> str:
    """`new`, capitalised if `old` starts with a capital."""
    return new[0].upper() + new[1:] if old[0].isupper() else new


def with_article_edits(text: str, words: Sequence[Word], edits: Sequence[Edit]) -> list[Edit]:
    """The edits, each preceded by one that changes `a` to `an`, or back, where the replaced word requires it.

    Args:
        words: words of the text, at least the replaced ones and the word before each.
        edits: replacements of whole words, in order.
    """
    index_at = {word.start: index for index, word in enumerate(words)}
    replaced = {edit.start for edit in edits}
    all_edits: list[Edit] = []
    for edit in edits:
        index = index_at.get(edit.start, 0)
        article = words[index - 1] if index else None
        if (
            article is not None
            and article.lowercase in ("a", "an")
            and article.editable
            and article.start not in replaced
            and edit.new
            and not text[article.end : edit.start].strip()
        ):
            required = article_before(edit.new.lower())
            if required != article.lowercase:
                all_edits.append(Edit(article.start, article.end, with_capital_of(article.text, required)))
        all_edits.append(edit)
    return all_edits


def replace_words(text: str, words: Sequence[Word], edits: Sequence[Edit]) -> str:
    """The text after the edits, with its articles adapted; see `with_article_edits`."""
    return apply_edits(text, with_article_edits(text, words, edits))


def repair_articles(text: str, source_words: Sequence[Word]) -> str:
    """`text` with `a` or `an` as the next word requires, after words were moved, deleted or inserted.

    Args:
        source_words: the words before the edits; an article that still precedes the same word stays as it is.
    """
    source_pairs = {(word.lowercase, following.lowercase) for word, following in pairwise(source_words)}
    edits = []
    for article, following in pairwise(find_words(text)):
        if article.lowercase not in ("a", "an") or (article.lowercase, following.lowercase) in source_pairs:
            continue
        required = article_before(following.lowercase)
        if article.editable and required != article.lowercase and not text[article.end : following.start].strip():
            edits.append(Edit(article.start, article.end, with_capital_of(article.text, required)))
    return apply_edits(text, edits)


_SILENT_H = ("hour", "honest", "honor", "honour", "heir")
_SPOKEN_CONSONANT = re.compile(
    r"uni(?!n|m|dent|deal|llum|ron|ss)|unanim|us[aeu]|eu|ewe|one\b|once|ut[eio]|ubi|ur[aeiou]|uk[eru]|ufo"
)


def article_before(word: str) -> str:
    """`a` or `an`, by the first sound of a word in lower case: an hour, a useful thing, a one."""
    vowel = word.startswith(_SILENT_H) or (word[0] in "aeiou" and not _SPOKEN_CONSONANT.match(word))
    return "an" if vowel else "a"
