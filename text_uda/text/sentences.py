"""Text as words and sentences: split so that it can be put together again byte for byte, compared word by word."""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache
from itertools import pairwise

from text_uda.text.spans import find_spans

MAX_SENTENCE = 300  # characters above which a sentence is split further: translation models drop what lies beyond

# A line of text: what lies between the characters that end one.
_LINE = re.compile(r"[^\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029]+")
# The end of a sentence: stops, closing marks, space. The look-behind keeps a long run of stops linear.
_END = re.compile(r"(?<![.!?…])([.!?…]+)[\"'”’»)\]]*\s+|[。！？]+[”’」』）]*")
_DOTTED = re.compile(r"(\w\.)+\w")  # U.S, e.g: the word before its last stop
_OPENING = "\"'“‘«([¿¡"
_PLACES = (re.compile(r"[.;:]\s"), re.compile(r",\s"), re.compile(r"\s"))  # where to split what is too long


@dataclass(frozen=True)
class Pieces:
    """A text taken apart: `separators[i]` stands before `sentences[i]`, the last separator at the end."""

    sentences: tuple[str, ...]
    """Without white space around them; each has a letter or a digit."""
    separators: tuple[str, ...]
    """One more than there are sentences: everything else, as it was."""

    def join(self, sentences: Sequence[str]) -> str:
        """The text with these sentences in the places of the original ones."""
        if len(sentences) != len(self.sentences):
            raise ValueError(f"{len(sentences)} sentences for {len(self.sentences)} places")
        parts = [part for pair in zip(self.separators, sentences, strict=False) for part in pair]
        return "".join([*parts, self.separators[-1]])


def split_sentences(text: str, *, language: str = "en") -> Pieces:
    """Sentences with what lies between them; joined again they are `text`, byte for byte. Time is linear.

    A sentence ends at the end of its line, and at stops that are followed by space and by no lower-case letter; not
    after an abbreviation that Moses' list for the language has, an initial or letters with stops (`U.S.`). What is
    longer than 300 characters is split further, at `. ; :`, at a comma or at a space.
    """
    spans = [
        span
        for line in _LINE.finditer(text)
        for sentence in _sentences(text, line.start(), line.end(), language)
        for span in _short(text, *sentence)
        if any(map(str.isalnum, text[slice(*span)]))
    ]
    edges = [0, *(edge for span in spans for edge in span), len(text)]
    between = [text[start:end] for start, end in pairwise(edges)]
    return Pieces(tuple(between[1::2]), tuple(between[0::2]))


def _sentences(text: str, start: int, end: int, language: str) -> Iterator[tuple[int, int]]:
    for stop in _END.finditer(text, start, end):
        if stop.end() < end and _ends_here(text, start, stop, end, language):
            yield _stripped(text, start, stop.end())
            start = stop.end()
    yield _stripped(text, start, end)


def _ends_here(text: str, start: int, stop: re.Match[str], end: int, language: str) -> bool:
    if stop[1] is None:
        return True  # a full stop of a script without spaces
    following = stop.end()
    while following < end - 1 and text[following] in _OPENING:
        following += 1
    if text[following].islower():
        return False
    if stop[1] != ".":
        return True
    words = text[max(start, stop.start() - 40) : stop.start()].split()
    word = words[-1].lstrip(_OPENING) if words else ""
    always, before_number = _abbreviations(language)
    if word in always or (word in before_number and text[following].isdigit()):
        return False
    return not _DOTTED.fullmatch(word)


@cache
def _abbreviations(language: str) -> tuple[frozenset[str], frozenset[str]]:
    """Words whose full stop ends no sentence: ever, and before a number. From Moses' lists, as sacremoses has them."""
    from sacremoses.corpus import NonbreakingPrefixes

    numeric = "#NUMERIC_ONLY#"
    words = [word.strip() for word in NonbreakingPrefixes().words(language)]
    return (
        frozenset(word for word in words if numeric not in word),
        frozenset(word.partition(numeric)[0].strip() for word in words if numeric in word),
    )


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    part = text[start:end]
    return start + len(part) - len(part.lstrip()), start + len(part.rstrip())


def _short(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Parts of at most MAX_SENTENCE characters, of the rear half of which the best place is taken to split.

    Never inside of what is not for translation, such as an address, which may be longer by itself.
    """
    if end - start <= MAX_SENTENCE:
        yield start, end
        return
    spans = [(start + begin, start + stop) for begin, stop in find_spans(text[start:end])]
    while end - start > MAX_SENTENCE:
        cut = _cut(text, start, spans)
        yield _stripped(text, start, cut)
        start = _stripped(text, cut, end)[0]
    if start < end:
        yield start, end


def _cut(text: str, start: int, spans: list[tuple[int, int]]) -> int:
    """Where the part that begins at `start` ends."""
    middle, stop = start + MAX_SENTENCE // 2, start + MAX_SENTENCE

    def inside(place: int) -> tuple[int, int] | None:
        at = bisect_left(spans, (place, place)) - 1  # the last one that begins before
        return spans[at] if at >= 0 and place < spans[at][1] else None

    for window, patterns in ((range(middle, stop), _PLACES), (range(start, middle), _PLACES[-1:])):
        for pattern in patterns:
            found = [place.end() for place in pattern.finditer(text, window.start, window.stop)]
            if free := [place for place in found if not inside(place)]:
                return free[-1]
    span = inside(stop)
    if span is None:
        return stop
    return span[0] if span[0] > start else span[1]


def normalise(text: str, *, language: str = "en") -> str:
    """Punctuation in the one form that translation models were trained on (Moses' normalize-punctuation)."""
    return _normaliser(language).normalize(text)


@cache
def _normaliser(language: str):
    from sacremoses import MosesPunctNormalizer

    return MosesPunctNormalizer(lang=language)


# --- comparison -------------------------------------------------------------------------------------------------------


def changed_words(source: str, paraphrase: str) -> list[tuple[str, list[str], list[str]]]:
    """What was done to the words: (operation, words of the source, words of the paraphrase) in order.

    Operations are `equal`, `replace`, `delete` and `insert`. Words are what white space separates.
    """
    old, new = source.split(), paraphrase.split()
    return [(operation, old[a:b], new[c:d]) for operation, a, b, c, d in _operations(old, new)]


def change_rate(source: str, paraphrase: str) -> float:
    """Share of the words that were changed, 0 to 1: of each difference the longer side, over the longer text."""
    old, new = source.split(), paraphrase.split()
    changed = sum(max(b - a, d - c) for operation, a, b, c, d in _operations(old, new) if operation != "equal")
    return min(1.0, changed / max(len(old), len(new), 1))


_QUADRATIC = 250_000  # pairs of words up to which they are compared each with each

_Operation = tuple[str, int, int, int, int]


def _operations(old: list[str], new: list[str]) -> Iterator[_Operation]:
    """difflib's, which takes quadratic time; long texts are first cut at the words that both have exactly once."""
    if len(old) * len(new) <= _QUADRATIC:
        yield from SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
        return
    a = c = 0
    for b, d in [*_anchors(old, new), (len(old), len(new))]:
        if (b - a) * (d - c) <= _QUADRATIC:
            for operation, *edges in SequenceMatcher(None, old[a:b], new[c:d], autojunk=False).get_opcodes():
                yield operation, edges[0] + a, edges[1] + a, edges[2] + c, edges[3] + c
        else:
            yield "replace", a, b, c, d
        if b < len(old) and d < len(new):
            yield "equal", b, b + 1, d, d + 1
        a, c = b + 1, d + 1


def _anchors(old: list[str], new: list[str]) -> list[tuple[int, int]]:
    """Positions of the words that stand once in each text, the longest run of them that is in order (patience diff)."""
    once_old, once_new = ({word for word, count in Counter(words).items() if count == 1} for words in (old, new))
    position = {word: index for index, word in enumerate(new) if word in once_new}
    pairs = [(index, position[word]) for index, word in enumerate(old) if word in once_old and word in position]
    return _longest_increasing(pairs)


def _longest_increasing(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    tails: list[int] = []  # the least last value of a run of each length
    ends: list[int] = []  # which pair that is
    before: list[int | None] = []
    for index, (_, value) in enumerate(pairs):
        length = bisect_left(tails, value)
        before.append(ends[length - 1] if length else None)
        tails[length : length + 1] = [value]
        ends[length : length + 1] = [index]
    run: list[tuple[int, int]] = []
    index = ends[-1] if ends else None
    while index is not None:
        run.append(pairs[index])
        index = before[index]
    return run[::-1]
