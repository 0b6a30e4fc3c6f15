"""Keeps spans of a sentence byte for byte through translation, by stand-ins such as XQ1."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

from text_uda.text.spans import find_spans


@dataclass(frozen=True)
class Protected:
    """A sentence with stand-ins `XQ1`, `XQ2`, ... for its spans, to be translated.

    Measured with Apertium eng-spa and spa-eng on 600 sentences of movie-snippets, each with one to three random spans
    of 28 kinds: all spans survive in 100% of them, and in 66% without stand-ins. `XQA`, `Xq1`, `xqa` and `Zq1z` work as
    well; `__1__` is lost in 0.7% and `PH_1` in 16%. Not measured with a sentencepiece model.
    """

    text: str
    """The sentence with a stand-in for each span."""
    spans: tuple[str, ...] = ()
    """The replaced spans, in order."""
    neighbours: tuple[tuple[str, str], ...] = ()
    """The characters before and after each span; "" for white space and at the ends of the sentence."""
    prefix: str = "XQ"
    """Of the stand-ins; it does not occur in the sentence."""

    @property
    def nothing_left(self) -> bool:
        """Whether no letter is left outside the spans, so that there is nothing to translate."""
        return not any(map(str.isalpha, _stand_in(self.prefix).sub("", self.text)))

    def restore(self, translated: str) -> str | None:
        """The translation with the spans in the places of their stand-ins, in the order of the translation.

        None if a stand-in is lost, doubled or damaged. Stand-ins may change case and contain spaces; a space that the
        translator added between a span and its neighbour is removed.
        """
        if not self.spans:
            return translated
        parts = _stand_in(self.prefix).split(translated)  # text, number, text, number, ..., text
        texts, indices = parts[::2], [int(number) - 1 for number in parts[1::2]]
        remnants = any(self.prefix.lower() in text.lower() for text in texts)
        if remnants or sorted(indices) != list(range(len(self.spans))):
            return None
        for position, index in enumerate(indices):
            before, after = self.neighbours[index]
            texts[position] = _remove_added_space(texts[position], before)
            texts[position + 1] = _remove_added_space(texts[position + 1][::-1], after)[::-1]
        return _interleave(texts, [self.spans[index] for index in indices])


def protect(sentence: str, names: Sequence[str] = ()) -> Protected:
    """Replace the spans of a sentence (see `find_spans`) by stand-ins; adjacent spans share one."""
    edges = _merge_adjacent(find_spans(sentence, names))
    if not edges:
        return Protected(sentence)
    prefix = _free_prefix(sentence)
    neighbours = tuple((sentence[:start][-1:].strip(), sentence[end : end + 1].strip()) for start, end in edges)
    stand_ins = [
        " " * _is_word(before) + f"{prefix}{number}" + " " * _is_word(after)
        for number, (before, after) in enumerate(neighbours, start=1)
    ]
    bounds = [0, *chain.from_iterable(edges), len(sentence)]
    outside = [sentence[start:end] for start, end in zip(bounds[::2], bounds[1::2], strict=True)]
    spans = tuple(sentence[start:end] for start, end in edges)
    return Protected(_interleave(outside, stand_ins), spans, neighbours, prefix)


def _merge_adjacent(spans: Iterator[tuple[int, int]]) -> list[tuple[int, int]]:
    edges = list[tuple[int, int]]()
    for start, end in spans:
        if edges and edges[-1][1] == start:
            start = edges.pop()[0]
        edges.append((start, end))
    return edges


def _free_prefix(sentence: str) -> str:
    """XQ, with more Qs than the sentence has after any X."""
    runs = re.findall(r"(?i)x(?:\s?q)+", sentence)
    return "XQ" + "Q" * max((run.lower().count("q") for run in runs), default=0)


@lru_cache
def _stand_in(prefix: str) -> re.Pattern[str]:
    letter = "[0-9A-Za-zÀ-ɏ]"  # not \w: in Chinese a stand-in may touch letters
    spaced = r"\s?".join(prefix)
    return re.compile(rf"(?i)(?<!{letter}){spaced}\s?([0-9]{{1,6}})(?!{letter})")


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _remove_added_space(text: str, neighbour: str) -> str:
    """`text` without the space at its end if, in the source, a word or this punctuation mark touched the span."""
    touched = _is_word(neighbour) or (neighbour and text.endswith(neighbour + " "))
    return text.removesuffix(" ") if touched else text


def _interleave(texts: Sequence[str], between: Sequence[str]) -> str:
    return "".join(chain.from_iterable(zip(texts, [*between, ""], strict=True)))
