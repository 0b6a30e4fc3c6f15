"""Data sets by name, by hub id or from files, and their seeded splits."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from difflib import get_close_matches
from heapq import nsmallest
from itertools import chain
from pathlib import Path

import numpy as np

from text_uda.data.corpus import Corpus, Rows, Split
from text_uda.data.files import KINDS, read_labeled, read_texts
from text_uda.data.glosses import load_glosses
from text_uda.data.hub import KNOWN, class_order, load_hub
from text_uda.data.labeled import Labeled, collect
from text_uda.data.movie_snippets import load_quintiles, load_sentiment
from text_uda.data.splitting import Labels, hold_out_test, split, without_overlap
from text_uda.data.texts import distinct_places, joined, keep, taken
from text_uda.errors import DataError
from text_uda.keyed import keyed_seed

__all__ = ["Corpus", "Labels", "Rows", "Split", "known", "load", "split"]

log = logging.getLogger("text_uda")

_EMBEDDED: dict[str, tuple[str, Callable[[], Corpus]]] = {
    "movie-snippets": ("movie reviews by sentiment, 2 classes; needs no hub", load_sentiment),
    "movie-snippets-5": ("movie reviews by sentiment, 5 classes; needs no hub", load_quintiles),
    "wordnet-14": ("definitions by what they define, 14 classes; needs no hub", lambda: load_glosses("wordnet-14")),
    "wordnet-6": ("definitions by what they define, 6 classes; needs no hub", lambda: load_glosses("wordnet-6")),
}


def known() -> dict[str, str]:
    """The data sets that have a name here, each with a line about it."""
    embedded = {name: words for name, (words, _) in _EMBEDDED.items()}
    return embedded | {name: f"{data.description} ({data.id})" for name, data in KNOWN.items()}


def load(
    source: str | Path,
    *,
    text_column: str | None = None,
    label_column: str | None = None,
    unlabeled: str | Path | None = None,
    test: str | Path | None = None,
    limit: int | None = None,
) -> Corpus:
    """A data set by its name, its hub id, or its file (csv, tsv, jsonl, parquet).

    A text that stands twice counts once, with its first label. A text of the test side is taken out of the training
    side.

    Args:
        text_column, label_column: guessed where the names are clear.
        unlabeled: a file of more texts, of any size: it is read in a stream and lies on disk, with 16 bytes of memory a
            text (64 while it is read); labels in it are not read.
        test: a file of test rows; without one a fixed fifth of a file is the test side.
        limit: no more than so many training texts (labeled ones first) and so many test texts.
    Raises:
        DataError: there is no such data set, or a file is not what it has to be; names file, row and mend.
        MissingPartError: what the data set is made from is not on this machine and cannot be fetched.
    """
    name = str(source)
    if name in _EMBEDDED:
        corpus = _EMBEDDED[name][1]()
    elif Path(name).suffix.lower() in KINDS or Path(name).exists():
        corpus = _from_file(Path(name), text_column, label_column)
    elif name in KNOWN or (name.count("/") == 1 and not name.startswith((".", "/"))):
        corpus = load_hub(name, text_column=text_column, label_column=label_column)
    else:
        near = get_close_matches(name, known(), n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are: {', '.join(known())}"
        raise DataError(f"no data set and no file {name!r}; {hint}")
    if test is not None:
        corpus = _with_test(corpus, Path(test), text_column, label_column)
    more = corpus.unlabeled
    if unlabeled is not None:
        more = keep(chain(more, read_texts(Path(unlabeled), text_column=text_column)))
    if len(more):
        there = (corpus.train.texts, corpus.test.texts)
        corpus = replace(corpus, unlabeled=taken(more, distinct_places(more, but=there)))
    return corpus if limit is None else _limited(corpus, limit)


def _from_file(path: Path, text_column: str | None, label_column: str | None) -> Corpus:
    labeled = collect(read_labeled(path, text_column=text_column, label_column=label_column))
    classes = tuple(sorted(labeled.names, key=class_order))
    if len(classes) < 2:
        raise DataError(f"{path}: every row has the label {labeled.names[0]!r}; a classifier needs two classes or more")
    if len(classes) > max(50, len(labeled) // 2):
        raise DataError(
            f"{path}: {len(classes):,} different labels in {len(labeled):,} rows; is --label-column the right column?"
        )
    rows = _distinct(path, labeled, classes)
    train, test = hold_out_test(rows)
    if not len(train) or not len(test):
        raise DataError(
            f"{path}: {len(rows)} rows are too few for a training and a test side; give more, or a --test file"
        )
    return Corpus(path.stem, f"the file {path.name}", classes, train, test)


def _with_test(corpus: Corpus, path: Path, text_column: str | None, label_column: str | None) -> Corpus:
    labeled = read_labeled(path, text_column=text_column, label_column=label_column, classes=corpus.classes)
    test = _distinct(path, collect(labeled), corpus.classes)
    whole = Rows(joined(corpus.train.texts, corpus.test.texts), (*corpus.train.labels, *corpus.test.labels))
    return replace(corpus, train=without_overlap(whole, test), test=test)


def _distinct(path: Path, labeled: Labeled, classes: Sequence[str]) -> Rows:
    once, conflicts = labeled.once()
    if len(conflicts):
        log.warning(
            "%s: %d texts stand there again with another label, first in row %d; the first label counts",
            path,
            len(conflicts),
            conflicts[0],
        )
    return once.rows(classes)


def _limited(corpus: Corpus, limit: int) -> Corpus:
    def first(texts: Sequence[str], count: int) -> list[int]:
        """Those with the smallest hashes: memory grows with `count` alone."""
        keyed = ((keyed_seed("limit", text), index) for index, text in enumerate(texts))
        return [index for _, index in nsmallest(count, keyed)]

    def fewer(rows: Rows) -> Rows:
        kept = sorted(first(rows.texts, limit))
        return Rows(taken(rows.texts, np.array(kept, dtype=np.int64)), tuple(rows.labels[index] for index in kept))

    train = fewer(corpus.train)
    more = first(corpus.unlabeled, max(0, limit - len(train)))
    unlabeled = taken(corpus.unlabeled, np.array(more, dtype=np.int64))
    return replace(corpus, train=train, test=fewer(corpus.test), unlabeled=unlabeled)
