"""Data sets by name, by hub id or from files, and their seeded splits."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from difflib import get_close_matches
from heapq import nsmallest
from itertools import chain
from pathlib import Path

import numpy as np

from text_uda.data.corpus import Corpus, Labels, LabelSampling, Rows, Split
from text_uda.data.files import KINDS, read_labeled, read_texts
from text_uda.data.hub import KNOWN, class_order, load_hub
from text_uda.data.labeled_rows import Labeled, collect, once
from text_uda.data.movie_snippets import load_quintiles, load_sentiment
from text_uda.data.near_copies import copied_in
from text_uda.data.splitting import split
from text_uda.data.test_side import hold_out_test, without_overlap
from text_uda.data.texts import distinct_places, keep, taken
from text_uda.data.wordnet_glosses import load_glosses
from text_uda.errors import DataError
from text_uda.keyed_random import keyed_seed

__all__ = ["Corpus", "LabelSampling", "Labels", "Rows", "Split", "known", "load", "split"]

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
    dev: str | Path | None = None,
    limit: int | None = None,
) -> Corpus:
    """A data set by its name, its hub id, or its file (csv, tsv, jsonl, parquet).

    Training reads a text that stands twice once, with its first label; test and development rows count as they stand.
    A text of the test side and its near copies (case, punctuation, spaces) are taken out of the training side and of
    the unlabeled texts.

    Args:
        text_column, label_column: guessed where the names are clear.
        unlabeled: a file of more texts, of any size: it is read in a stream and lies on disk, with 16 bytes of memory a
            text (64 while it is read); labels in it are not read.
        test: a file of test rows; without one a fixed fifth of each class of a file is the test side.
        dev: a file of development rows, in place of rows that a split draws from the training side, which loses their
            texts. Those that are test rows too are left out, with a warning.
        limit: no more than so many training texts (labeled ones first) and so many test rows.
    Raises:
        DataError: there is no such data set, or a file is not what it has to be; names file, row and mend.
        MissingPartError: what the data set is made from is not on this machine and cannot be fetched.
    """
    name = str(source)
    if name in _EMBEDDED:
        corpus = _EMBEDDED[name][1]()
    elif Path(name).suffix.lower() in KINDS or Path(name).exists():
        corpus = _from_file(Path(name), text_column, label_column, tested=test is None)
    elif name in KNOWN or (name.count("/") == 1 and not name.startswith((".", "/"))):
        corpus = load_hub(name, text_column=text_column, label_column=label_column)
    else:
        near = get_close_matches(name, known(), n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are: {', '.join(known())}"
        raise DataError(f"no data set and no file {name!r}; {hint}")
    if test is not None:
        corpus = _with_test(corpus, Path(test), text_column, label_column)
    if dev is not None:
        corpus = _with_dev(corpus, Path(dev), text_column, label_column)
    more = corpus.unlabeled
    if unlabeled is not None:
        more = keep(chain(more, read_texts(Path(unlabeled), text_column=text_column)))
    if len(more):
        corpus = replace(corpus, unlabeled=_without_test(corpus, more))
    return corpus if limit is None else _limited(corpus, limit)


def _from_file(path: Path, text_column: str | None, label_column: str | None, *, tested: bool) -> Corpus:
    """
    Args:
        tested: whether the test side is read; False where a test file takes its place.
    """
    labeled = collect(read_labeled(path, text_column=text_column, label_column=label_column))
    classes = tuple(sorted(labeled.names, key=class_order))
    if len(classes) < 2:
        raise DataError(f"{path}: every row has the label {labeled.names[0]!r}; a classifier needs two classes or more")
    if len(classes) > max(50, len(labeled) // 2):
        raise DataError(
            f"{path}: {len(classes):,} different labels in {len(labeled):,} rows; is --label-column the right column?"
        )
    _warn_of_conflicts(path, labeled, "training reads the first label")
    train, test = hold_out_test(labeled.rows(classes))
    if tested and not len(test):
        raise DataError(
            f"{path}: {len(labeled)} rows are too few for a training and a test side; give more, or a --test file"
        )
    train, repeated = once(train)
    return Corpus(path.stem, f"the file {path.name}", classes, train, test, unused=repeated)


def _with_test(corpus: Corpus, path: Path, text_column: str | None, label_column: str | None) -> Corpus:
    labeled = collect(read_labeled(path, text_column=text_column, label_column=label_column, classes=corpus.classes))
    _warn_of_conflicts(path, labeled, "each row counts")
    test = labeled.rows(corpus.classes)
    train, overlap = without_overlap(Rows.joined(corpus.train, corpus.test, corpus.unused), test)
    train, repeated = once(train)
    return replace(corpus, train=train, test=test, unused=Rows.joined(repeated, overlap))


def _with_dev(corpus: Corpus, path: Path, text_column: str | None, label_column: str | None) -> Corpus:
    labeled = collect(read_labeled(path, text_column=text_column, label_column=label_column, classes=corpus.classes))
    _warn_of_conflicts(path, labeled, "each row counts")
    dev = labeled.rows(corpus.classes)
    in_test = copied_in(dev.texts, corpus.test.texts)
    if in_test.all():
        raise DataError(f"{path}: each of its texts is a test row too; give development rows that no test row repeats")
    if in_test.any():
        log.warning(
            "%s: %d rows (first row %d) have the text of a test row, and are left out of the development rows",
            path,
            in_test.sum(),
            labeled.numbers[in_test][0],
        )
        dev = dev.take(np.flatnonzero(~in_test))
    train, overlap = without_overlap(corpus.train, dev)
    return replace(corpus, train=train, dev=dev, unused=Rows.joined(corpus.unused, overlap))


def _without_test(corpus: Corpus, more: Sequence[str]) -> Sequence[str]:
    """Each further text once, without those of the training side and the near copies of test rows."""
    more = taken(more, distinct_places(more, but=(corpus.train.texts,)))
    in_test = copied_in(more, corpus.test.texts)
    if in_test.any():
        log.warning(
            "%s: %d unlabeled texts are those of test rows, but for case, punctuation and spaces, and are left out",
            corpus.name,
            in_test.sum(),
        )
        more = taken(more, np.flatnonzero(~in_test))
    return more


def _warn_of_conflicts(path: Path, labeled: Labeled, counts: str) -> None:
    conflicts = labeled.conflicts()
    if len(conflicts):
        log.warning(
            "%s: %d rows have the text of an earlier row and another label, first row %d; %s",
            path,
            len(conflicts),
            conflicts[0],
            counts,
        )


def _limited(corpus: Corpus, limit: int) -> Corpus:
    def first(texts: Sequence[str], count: int) -> list[int]:
        """Those with the smallest hashes: memory grows with `count` alone."""
        keyed = ((keyed_seed("limit", text), index) for index, text in enumerate(texts))
        return [index for _, index in nsmallest(count, keyed)]

    def fewer(rows: Rows) -> Rows:
        return rows.take(np.array(sorted(first(rows.texts, limit)), dtype=np.int64))

    train = fewer(corpus.train)
    more = first(corpus.unlabeled, max(0, limit - len(train)))
    unlabeled = taken(corpus.unlabeled, np.array(more, dtype=np.int64))
    return replace(corpus, train=train, test=fewer(corpus.test), unlabeled=unlabeled, unused=Rows((), ()))
