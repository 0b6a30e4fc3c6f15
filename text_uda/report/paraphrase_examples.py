"""Paraphrases to read: a source text and its paraphrases by each method, with the changed words marked."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from text_uda.report.comparison import Comparison, Group
from text_uda.text.sentences import changed_words

SOURCES = 300  # on one page
WORDS = 150  # of one text


@dataclass(frozen=True)
class ShownParaphrase:
    """The outcome of one method for a text."""

    group: Group
    status: str
    pivot: str | None
    marks: list[tuple[str, str]]
    """(`equal`, `delete` or `insert`, words) in order; empty without a paraphrase."""
    cut: int
    """Number of words, deleted ones included, that are not shown."""


@dataclass(frozen=True)
class Source:
    text: str
    cut: int
    """Number of words that are not shown."""
    paraphrases: list[ShownParaphrase] = field(default_factory=list)


def sources(comparisons: list[Comparison]) -> tuple[list[Source], int]:
    """The first texts of the runs, in the order of the seeds, and the number of further texts."""
    by_text: dict[str, Source] = {}
    seen: set[tuple[str, str, str | None, str]] = set()
    left_out: set[str] = set()
    runs = [(group, run) for comparison in comparisons for group in comparison.groups for run in group.runs]
    for group, run in sorted(runs, key=lambda item: item[1].seed):
        for example in run.examples:
            source, paraphrase, status = example["source"], example["paraphrase"], example["status"]
            if (key := (group.label, source, paraphrase, status)) in seen:
                continue
            seen.add(key)
            if source not in by_text and len(by_text) == SOURCES:
                left_out.add(source)
                continue
            entry = by_text.setdefault(source, Source(*shortened(source)))
            marks, cut = _marked(source, paraphrase)
            entry.paraphrases.append(ShownParaphrase(group, status, _pivot(example["pivot"]), marks, cut))
    return list(by_text.values()), len(left_out)


def shortened(text: str) -> tuple[str, int]:
    """The first WORDS words, and the number of the others."""
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
        if words_shown := words[:room]:
            shown.append((operation, words_shown))
        room -= len(words_shown)
        cut += len(words) - len(words_shown)
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
