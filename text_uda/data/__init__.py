"""Data sets by name, by hub id or from files, and their seeded splits."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from difflib import get_close_matches
from heapq import nsmallest
from itertools import chain
from pathlib import Path

import numpy as np

from text_uda.data.arrow_records import is_saved_dataset_dict, load_saved
from text_uda.data.corpus import Corpus, Labels, LabelSampling, Rows, Split
from text_uda.data.files import read_labeled, read_texts
from text_uda.data.held_out_test import hold_out_test, without_overlap
from text_uda.data.hub import KNOWN, class_order, from_parts, load_hub
from text_uda.data.labeled_rows import Labeled, collect, deduplicate
from text_uda.data.movie_snippets import load_quintiles, load_sentiment
from text_uda.data.near_copies import have_near_copy
from text_uda.data.splitting import split
from text_uda.data.tables import data_name, names_files
from text_uda.data.texts import distinct_places, keep, take_texts
from text_uda.data.wordnet_glosses import load_glosses
from text_uda.errors import DataError
from text_uda.keyed_random import keyed_seed

__all__ = ["Corpus", "LabelSampling", "Labels", "Rows", "Split", "known", "load", "split"]

log = logging.getLogger("text_uda")

_EMBEDDED: dict[str, tuple[str, Callable[[], Corpus]]] = {
    "movie-snippets": ("movie reviews by sentiment, 2 classes; no hub needed", load_sentiment),
    "movie-snippets-5": ("movie reviews by sentiment, 5 classes; no hub needed", load_quintiles),
    "wordnet-14": ("WordNet definitions of nouns, 14 classes; no hub needed", lambda: load_glosses("wordnet-14")),
    "wordnet-6": ("WordNet definitions of nouns, 6 classes; no hub needed", lambda: load_glosses("wordnet-6")),
}


def known() -> dict[str, str]:
    """The data sets with a short name, each with a one-line description."""
    embedded = {name: description for name, (description, _) in _EMBEDDED.items()}
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
    """A data set by name, by hub id, or from files.

    Files are csv, tsv, jsonl, json or parquet, also compressed (gz, bz2, xz, zst, lz4, zip); all files of a folder, or
    of a pattern such as "data/*.csv"; a folder that `datasets` saved.

    The training side has each text once, with its first label; test and development rows keep duplicates. Texts of the
    test side and their near copies (case, punctuation, spaces) are removed from the training side and the unlabeled
    texts.

    Args:
        text_column, label_column: by default columns with a usual name.
        unlabeled: a file of more texts, of any size: it is streamed to disk and uses 16 bytes of memory per text (64
            during the read); labels in it are ignored.
        test: a file of test rows; the default test side of a file is a fixed fifth of each class.
        dev: a file of development rows, which replace the rows that a split would draw from the training side; the
            training side loses their texts. Rows with the text of a test row are dropped with a warning.
        limit: the most training texts (labeled texts first) and the most test rows.
    Raises:
        DataError: there is no such data set, or a file is invalid; the message names file, row and remedy.
        MissingPartError: the source of the data set is not on this machine and cannot be downloaded.
    """
    name = str(source)
    if name in _EMBEDDED:
        corpus = _EMBEDDED[name][1]()
    elif is_saved_dataset_dict(Path(name)):
        text = (text_column,) if text_column else None
        parts = load_saved(Path(name))
        corpus = from_parts(
            data_name(Path(name)), parts, text=text, label=label_column, description=f"the folder {name}"
        )
    elif names_files(name):
        corpus = _from_file(Path(name), text_column, label_column, needs_test=test is None)
    elif name in KNOWN or (name.count("/") == 1 and not name.startswith((".", "/"))):
        corpus = load_hub(name, text_column=text_column, label_column=label_column)
    else:
        near = get_close_matches(name, known(), n=1)
        hint = f"did you mean {near[0]}?" if near else f"known data sets: {', '.join(known())}"
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


def _from_file(path: Path, text_column: str | None, label_column: str | None, *, needs_test: bool) -> Corpus:
    """
    Args:
        needs_test: False if a test file replaces the test side.
    """
    labeled = collect(read_labeled(path, text_column=text_column, label_column=label_column), path)
    classes = tuple(sorted(labeled.names, key=class_order))
    if len(classes) < 2:
        raise DataError(f"{path}: every row has the label {labeled.names[0]!r}; a classifier needs two classes or more")
    if len(classes) > max(50, len(labeled) // 2):
        raise DataError(
            f"{path}: {len(classes):,} different labels in {len(labeled):,} rows; is --label-column the right column?"
        )
    _warn_of_conflicts(path, labeled, "training uses the first label")
    train, test = hold_out_test(labeled.rows(classes))
    if needs_test and not len(test):
        raise DataError(
            f"{path}: {len(labeled)} rows are too few for a training and a test side; add rows, or a --test file"
        )
    train, repeated = deduplicate(train)
    return Corpus(data_name(path), f"the file {path.name}", classes, train, test, unused=repeated)


def _with_test(corpus: Corpus, path: Path, text_column: str | None, label_column: str | None) -> Corpus:
    labeled = collect(
        read_labeled(path, text_column=text_column, label_column=label_column, classes=corpus.classes), path
    )
    _warn_of_conflicts(path, labeled, "all rows count")
    test = labeled.rows(corpus.classes)
    train, overlap = without_overlap(Rows.joined(corpus.train, corpus.test, corpus.unused), test)
    train, repeated = deduplicate(train)
    return replace(corpus, train=train, test=test, unused=Rows.joined(repeated, overlap))


def _with_dev(corpus: Corpus, path: Path, text_column: str | None, label_column: str | None) -> Corpus:
    labeled = collect(
        read_labeled(path, text_column=text_column, label_column=label_column, classes=corpus.classes), path
    )
    _warn_of_conflicts(path, labeled, "all rows count")
    dev = labeled.rows(corpus.classes)
    in_test = have_near_copy(dev.texts, corpus.test.texts)
    if in_test.all():
        raise DataError(f"{path}: all of its texts are test rows; use development rows with other texts")
    if in_test.any():
        log.warning(
            "%s: dropped %d development rows (the first is row %d) with the text of a test row",
            path,
            in_test.sum(),
            labeled.numbers[in_test][0],
        )
        dev = dev.take(np.flatnonzero(~in_test))
    train, overlap = without_overlap(corpus.train, dev)
    return replace(corpus, train=train, dev=dev, unused=Rows.joined(corpus.unused, overlap))


def _without_test(corpus: Corpus, more: Sequence[str]) -> Sequence[str]:
    """The distinct texts that are not on the training side and have no near copy on the test side."""
    more = take_texts(more, distinct_places(more, but=(corpus.train.texts,)))
    in_test = have_near_copy(more, corpus.test.texts)
    if in_test.any():
        log.warning(
            "%s: dropped %d unlabeled texts that equal a test row except for case, punctuation and spaces",
            corpus.name,
            in_test.sum(),
        )
        more = take_texts(more, np.flatnonzero(~in_test))
    return more


def _warn_of_conflicts(path: Path, labeled: Labeled, consequence: str) -> None:
    conflicts = labeled.conflicts()
    if len(conflicts):
        log.warning(
            "%s: %d rows have the text of an earlier row with another label (the first is row %d); %s",
            path,
            len(conflicts),
            conflicts[0],
            consequence,
        )


def _limited(corpus: Corpus, limit: int) -> Corpus:
    def first(texts: Sequence[str], count: int) -> list[int]:
        """The indices of the texts with the smallest hashes; memory grows with `count` only."""
        keyed = ((keyed_seed("limit", text), index) for index, text in enumerate(texts))
        return [index for _, index in nsmallest(count, keyed)]

    def fewer(rows: Rows) -> Rows:
        return rows.take(np.array(sorted(first(rows.texts, limit)), dtype=np.int64))

    train = fewer(corpus.train)
    more = first(corpus.unlabeled, max(0, limit - len(train)))
    unlabeled = take_texts(corpus.unlabeled, np.array(more, dtype=np.int64))
    return replace(corpus, train=train, test=fewer(corpus.test), unlabeled=unlabeled, unused=Rows((), ()))
