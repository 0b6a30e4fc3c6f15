"""Paraphrases to read: a source text and what each method made of it, with the changed words marked."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from text_uda.report.comparison import Comparison, Group
from text_uda.text.sentences import changed_words

SOURCES = 300  # on one page
WORDS = 150  # of one text


@dataclass(frozen=True)
class Made:
    """What a method made of a text."""

    group: Group
    status: str
    pivot: str | None
    marks: list[tuple[str, str]]
    """(`equal`, `delete` or `insert`, words) in order; empty when there is no text."""
    cut: int
    """Words, taken away ones too, that are not shown."""


@dataclass(frozen=True)
class Source:
    text: str
    cut: int
    made: list[Made] = field(default_factory=list)


def sources(comparisons: list[Comparison]) -> tuple[list[Source], int]:
    """The first texts of the runs in the order of their seeds, and how many more the runs hold."""
    found: dict[str, Source] = {}
    seen: set[tuple[str, str, str | None, str]] = set()
    left_out: set[str] = set()
    runs = [(group, run) for comparison in comparisons for group in comparison.groups for run in group.runs]
    for group, run in sorted(runs, key=lambda item: item[1].seed):
        for example in run.examples:
            source, paraphrase, status = example["source"], example["paraphrase"], example["status"]
            if (key := (group.label, source, paraphrase, status)) in seen:
                continue
            seen.add(key)
            if source not in found and len(found) == SOURCES:
                left_out.add(source)
                continue
            entry = found.setdefault(source, Source(*shortened(source)))
            marks, cut = _marked(source, paraphrase)
            entry.made.append(Made(group, status, _pivot(example["pivot"]), marks, cut))
    return list(found.values()), len(left_out)


def shortened(text: str) -> tuple[str, int]:
    words = text.split()
    return (text, 0) if len(words) <= WORDS else (" ".join(words[:WORDS]), len(words) - WORDS)


def _pivot(text: str | None) -> str | None:
    if text is None:
        return None
    shown, cut = shortened(text)
    return f"{shown} …" if cut else shown


def _marked(source: str, paraphrase: str | None) -> tuple[list[tuple[str, str]], int]:
    if paraphrase is None:
        return [], 0
    shown: list[tuple[str, list[str]]] = []
    room, cut = WORDS, 0
    for operation, words in _marks(source, paraphrase):
        if kept := words[:room]:
            shown.append((operation, kept))
        room -= len(kept)
        cut += len(words) - len(kept)
    return [(operation, " ".join(words)) for operation, words in shown], cut


def _marks(source: str, paraphrase: str) -> Iterator[tuple[str, list[str]]]:
    for operation, old, new in changed_words(source, paraphrase):
        if operation == "equal":
            yield "equal", old
            continue
        if old:
            yield "delete", old
        if new:
            yield "insert", new
