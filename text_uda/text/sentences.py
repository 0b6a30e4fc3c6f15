"""Splits texts into sentences that join again byte for byte, and compares texts word by word."""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache
from itertools import pairwise

from text_uda.text.line_breaks import mask_line_breaks
from text_uda.text.spans import find_spans

MAX_SENTENCE = 300  # characters; longer sentences are split, because translation models truncate them

# A line of text, without the characters that end it.
_LINE = re.compile(r"[^\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029]+")
# The end of a sentence: stops, closing marks, space. The look-behind keeps long runs of stops linear.
_END = re.compile(r"(?<![.!?…])([.!?…]+)[\"'”’»)\]]*\s+|[。！？]+[”’」』）]*")
_DOTTED = re.compile(r"(\w\.)+\w")  # U.S, e.g: a word before its last stop
_OPENING = "\"'“‘«([¿¡"
_PLACES = (re.compile(r"[.;:]\s"), re.compile(r",\s"), re.compile(r"\s"))  # where to split a long sentence, best first


@dataclass(frozen=True)
class Pieces:
    """A split text: `separators[i]` precedes `sentences[i]`; the last separator ends the text."""

    sentences: tuple[str, ...]
    """Without surrounding white space; each contains a letter or a digit."""
    separators: tuple[str, ...]
    """All other characters; one more entry than `sentences`."""

    def join(self, sentences: Sequence[str]) -> str:
        """The text with these sentences instead of the original ones."""
        if len(sentences) != len(self.sentences):
            raise ValueError(f"{len(sentences)} sentences for {len(self.sentences)} places")
        parts = [part for pair in zip(self.separators, sentences, strict=False) for part in pair]
        return "".join([*parts, self.separators[-1]])


def split_sentences(text: str, *, language: str = "en") -> Pieces:
    """Split into sentences and separators, which join to `text` byte for byte. Linear time.

    A sentence ends at a line end, also a written one (see `line_breaks`), and at stops followed by space and no
    lower-case letter, except after an abbreviation of Moses' list for the language, an initial, or letters with stops
    (`U.S.`). Sentences of more than 300 characters are split at `. ; :`, at a comma or at a space.
    """
    spans = [
        span
        for line in _LINE.finditer(mask_line_breaks(text, "\n", "\n"))
        for sentence in _sentences(text, line.start(), line.end(), language)
        for span in _split_long(text, *sentence)
        if any(map(str.isalnum, text[slice(*span)]))
    ]
    edges = [0, *(edge for span in spans for edge in span), len(text)]
    parts = [text[start:end] for start, end in pairwise(edges)]  # separator, sentence, separator, ..., separator
    return Pieces(tuple(parts[1::2]), tuple(parts[0::2]))


def _sentences(text: str, start: int, end: int, language: str) -> Iterator[tuple[int, int]]:
    for stop in _END.finditer(text, start, end):
        if stop.end() < end and _ends_sentence(text, start, stop, end, language):
            yield _strip_span(text, start, stop.end())
            start = stop.end()
    yield _strip_span(text, start, end)


def _ends_sentence(text: str, start: int, stop: re.Match[str], end: int, language: str) -> bool:
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
    """Words whose full stop never ends a sentence, and words for which this holds before a number.

    From Moses' lists, in sacremoses.
    """
    from sacremoses.corpus import NonbreakingPrefixes

    numeric = "#NUMERIC_ONLY#"
    words = [word.strip() for word in NonbreakingPrefixes().words(language)]
    return (
        frozenset(word for word in words if numeric not in word),
        frozenset(word.partition(numeric)[0].strip() for word in words if numeric in word),
    )


def _strip_span(text: str, start: int, end: int) -> tuple[int, int]:
    part = text[start:end]
    return start + len(part) - len(part.lstrip()), start + len(part.rstrip())


def _split_long(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Parts of at most MAX_SENTENCE characters, split at the best place in the second half of each part.

    A span that is not translated, such as an address, is never split, even if it is longer.
    """
    if end - start <= MAX_SENTENCE:
        yield start, end
        return
    spans = [(start + begin, start + stop) for begin, stop in find_spans(text[start:end])]
    while end - start > MAX_SENTENCE:
        cut = _cut(text, start, spans)
        yield _strip_span(text, start, cut)
        start = _strip_span(text, cut, end)[0]
    if start < end:
        yield start, end


def _cut(text: str, start: int, spans: list[tuple[int, int]]) -> int:
    """The end of the part that begins at `start`."""
    middle, stop = start + MAX_SENTENCE // 2, start + MAX_SENTENCE

    def span_around(offset: int) -> tuple[int, int] | None:
        index = bisect_left(spans, (offset, offset)) - 1  # the last span that begins before
        return spans[index] if index >= 0 and offset < spans[index][1] else None

    for window, patterns in ((range(middle, stop), _PLACES), (range(start, middle), _PLACES[-1:])):
        for pattern in patterns:
            offsets = [match.end() for match in pattern.finditer(text, window.start, window.stop)]
            if allowed := [offset for offset in offsets if not span_around(offset)]:
                return allowed[-1]
    span = span_around(stop)
    if span is None:
        return stop
    return span[0] if span[0] > start else span[1]


def normalise(text: str, *, language: str = "en") -> str:
    """The text with the punctuation that translation models are trained on (Moses' normalize-punctuation)."""
    return _normaliser(language).normalize(text)


@cache
def _normaliser(language: str):
    from sacremoses import MosesPunctNormalizer

    return MosesPunctNormalizer(lang=language)


# --- comparison -------------------------------------------------------------------------------------------------------


def changed_words(source: str, paraphrase: str) -> list[tuple[str, list[str], list[str]]]:
    """The edit script: (operation, words of the source, words of the paraphrase), in order.

    Operations are `equal`, `replace`, `delete` and `insert`. White space separates words.
    """
    old, new = source.split(), paraphrase.split()
    return [(operation, old[a:b], new[c:d]) for operation, a, b, c, d in _operations(old, new)]


def change_rate(source: str, paraphrase: str) -> float:
    """Share of changed words, 0 to 1: the longer side of each difference, summed, over the words of the longer text."""
    old, new = source.split(), paraphrase.split()
    changed = sum(max(b - a, d - c) for operation, a, b, c, d in _operations(old, new) if operation != "equal")
    return min(1.0, changed / max(len(old), len(new), 1))


_QUADRATIC = 250_000  # pairs of words, up to which all pairs are compared

_Operation = tuple[str, int, int, int, int]


def _operations(old: list[str], new: list[str]) -> Iterator[_Operation]:
    """difflib's operations; long texts are first cut at words that occur once in each, because difflib is quadratic."""
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
    """Positions of words that occur once in each text: the longest subsequence in the same order (patience diff)."""
    once_old, once_new = ({word for word, count in Counter(words).items() if count == 1} for words in (old, new))
    position = {word: index for index, word in enumerate(new) if word in once_new}
    pairs = [(index, position[word]) for index, word in enumerate(old) if word in once_old and word in position]
    return _longest_increasing(pairs)


def _longest_increasing(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The longest subsequence of the pairs with increasing second entries."""
    last_values: list[int] = []  # the smallest last value of a subsequence, by length
    last_pairs: list[int] = []  # the index of that pair
    predecessors: list[int | None] = []
    for index, (_, value) in enumerate(pairs):
        length = bisect_left(last_values, value)
        predecessors.append(last_pairs[length - 1] if length else None)
        last_values[length : length + 1] = [value]
        last_pairs[length : length + 1] = [index]
    subsequence: list[tuple[int, int]] = []
    index = last_pairs[-1] if last_pairs else None
    while index is not None:
        subsequence.append(pairs[index])
        index = predecessors[index]
    return subsequence[::-1]
