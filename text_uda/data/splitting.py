"""Seeded splits by class. A hash of (seed, text) places each text, so the order of a file changes nothing."""

from collections.abc import Sequence
from dataclasses import replace
from heapq import nsmallest
from itertools import chain
from typing import get_args

import numpy as np

from text_uda.data.corpus import Corpus, Labels, LabelSampling, Rows, Split, digest_of
from text_uda.data.near_copies import copy_groups, first_copies, text_essence, text_groups
from text_uda.data.row_columns import row_key
from text_uda.data.texts import sorted_distinct, take_texts
from text_uda.errors import DataError, SettingsError
from text_uda.keyed_random import keyed_seed
from translation_cache.key import KEY_BYTES, keys_from_bytes

DEV_SHARE = 5  # the default number of development rows is at most one in five of the texts without label,
DEV_MOST = 1000  # and at most this many


def split(
    corpus: Corpus,
    *,
    labels: Labels,
    seed: int,
    dev: int | None = None,
    unlabeled: int | None = None,
    label_sampling: LabelSampling = "balanced",
) -> Split:
    """Draw labeled and development rows from the training side, class by class; the rest is unlabeled.

    Near copies (case, punctuation, spaces) count as one text, which is either labeled, or a development row, or
    unlabeled. So training sees no development row, not even without its label. The sizes of the three parts do
    not depend on the seed.

    Rows of one text with other columns are several rows, which are on one side too: those of a labeled text that have
    no label are left out, as are those of the text of a development row. So the sizes can depend on the seed.

    Args:
        labels: the total number of labeled rows. "all" labels every text that is not a development row; the unlabeled
            texts are then the labeled texts and the unlabeled texts of the corpus.
        dev: development rows, drawn in the proportions of the classes, with one row of each class that has one to
            spare. None is the number of labeled rows: model selection should not use more labels than training (Oliver
            et al. 2018, arXiv 1804.09170, Section 4.6); at most a fifth of the other texts and at most 1,000. With all
            labels it is a fifth, at most 1,000. The rows of `corpus.dev` replace all this.
        unlabeled: the most unlabeled texts, drawn by the seed; a smaller number gives a subset of a larger one.
        label_sampling: "balanced" labels the same number of rows of each class; if the total is not divisible, classes
            drawn by the seed get one more. "proportional" labels the classes in their proportions (largest remainder),
            at least one row each. Neither applies to "all" labels.
    Raises:
        SettingsError: there are fewer rows than requested, or fewer labels than classes.
        DataError: the corpus has no labels, or a class has no row on the training side.
    """
    corpus.check_labels()
    if not len(corpus.train):
        raise DataError(
            f"{corpus.name} has no text left for training: all are test or development rows too; use a --test or --dev "
            "file with texts that are not in DATA, or draw development rows with --dev N"
        )
    if unlabeled is not None and unlabeled < 1:
        raise SettingsError(f"unlabeled={unlabeled}: use 1 or more, or omit it")
    if label_sampling not in get_args(LabelSampling):
        raise SettingsError(f"label_sampling={label_sampling!r}: choose {' or '.join(get_args(LabelSampling))}")
    if dev is not None and corpus.dev is not None:
        raise SettingsError(f"dev={dev}: {corpus.name} has separate development rows; omit dev")
    if labels != "all" and labels < len(corpus.classes):
        raise SettingsError(f"labels={labels}: {corpus.name} has {len(corpus.classes)} classes; label a row of each")
    by_class = _drawing_order(corpus, seed)
    labels_per_class = (
        [0] * len(by_class) if labels == "all" else _labels_per_class(corpus, by_class, labels, label_sampling, seed)
    )
    left = _with_other_texts(corpus, by_class, _first(by_class, labels_per_class), seed)
    without_label = sum(map(len, by_class)) - sum(labels_per_class)
    dev_places = np.zeros(0, dtype=np.int64)
    if not corpus.dev:
        dev_places = np.sort(_draw_dev(corpus, left, labels, dev, without_label))
    if labels == "all":
        by_class = _with_other_texts(corpus, by_class, dev_places, seed)
        _check_every_class(corpus, by_class)
        labeled_places = np.sort(np.concatenate(by_class))
    else:
        labeled_places = np.sort(_first(by_class, labels_per_class))
    labeled = corpus.train.take(labeled_places)
    development = corpus.train.take(dev_places) if corpus.dev is None else corpus.dev
    pool = _unlabeled_pool(corpus, but=(development,) if labels == "all" else (labeled, development))
    if unlabeled is not None and unlabeled < len(pool):
        pool = _fewer(pool, unlabeled, seed)
    return Split(
        name=corpus.name,
        classes=corpus.classes,
        labeled=labeled,
        unlabeled=pool,
        dev=development,
        test=corpus.test,
        digest=_digest(corpus.classes, labeled, pool, development, corpus.test),
        label_sampling=None if labels == "all" else label_sampling,
        most_unlabeled=unlabeled,
        training_texts=len(corpus.train) + len(corpus.unlabeled),
        class_sizes=tuple(len(rows) for rows in by_class),
    )


def all_labels(split: Split) -> Split:
    """The split with its development rows moved to the labeled rows, for training after model selection.

    The unlabeled and the test rows stay the same.

    Raises:
        SettingsError: there are no development rows.
    """
    if not len(split.dev):
        raise SettingsError(
            f"refit adds the labels of the development rows, and this split of {split.name} has none: omit it"
        )
    labeled, none = Rows.joined(split.labeled, split.dev), Rows((), ())
    return replace(
        split,
        labeled=labeled,
        dev=none,
        digest=_digest(split.classes, labeled, split.unlabeled, none, split.test),
        label_sampling=None,
    )


def _drawing_order(corpus: Corpus, seed: int) -> list[np.ndarray]:
    """The indices of the training rows of each class in drawing order, with one row per group of near copies.

    If near copies have several labels, it is a row of the rarest class.
    """
    groups = copy_groups(corpus.train.texts)
    seeds = (keyed_seed("split", seed, row_key(text)).to_bytes(KEY_BYTES, "big") for text in corpus.train.texts)
    keys = keys_from_bytes(b"".join(seeds))
    label_of = np.asarray(corpus.train.labels, dtype=np.int64)
    size = np.bincount(label_of, minlength=len(corpus.classes))
    order = np.lexsort((keys[:, 1], keys[:, 0], size[label_of], groups))
    _, first = np.unique(groups[order], return_index=True)
    places = order[first]
    places = places[np.lexsort((keys[places, 1], keys[places, 0]))]
    by_class = [places[label_of[places] == number] for number in range(len(corpus.classes))]
    for name, rows in zip(corpus.classes, by_class, strict=True):
        if not len(rows):
            raise DataError(
                f"{corpus.name} has no text of class {name!r} for training{_elsewhere(corpus, name)}; add some, use "
                "more texts (--limit), or remove the class from the data"
            )
    return by_class


def _with_other_texts(corpus: Corpus, by_class: Sequence[np.ndarray], drawn: np.ndarray, seed: int) -> list[np.ndarray]:
    """The indices of each class without the drawn ones, and without other rows of their texts.

    The rows of one text are consecutive then, so that the next draw divides few texts.
    """
    left = [rows[~np.isin(rows, drawn)] for rows in by_class]
    if not corpus.train.columns:
        return left
    groups = text_groups(corpus.train.texts)
    left = [rows[~np.isin(groups[rows], groups[drawn])] for rows in left]

    def order(place: int) -> int:
        return keyed_seed("split", seed, text_essence(corpus.train.texts[place]))

    return [np.array(sorted(rows.tolist(), key=order), dtype=np.int64) for rows in left]


def _check_every_class(corpus: Corpus, labeled: Sequence[np.ndarray]) -> None:
    """Raise SettingsError if all texts of a class are those of development rows."""
    for name, rows in zip(corpus.classes, labeled, strict=True):
        if not len(rows):
            raise SettingsError(
                f"all texts of class {name!r} of {corpus.name} are texts of development rows with other columns: use"
                " fewer development rows (--dev N), or add rows of other texts"
            )


def _elsewhere(corpus: Corpus, name: str) -> str:
    label = corpus.classes.index(name)
    sides = {
        "on the test side": corpus.test.labels,
        "among the development rows": corpus.dev.labels if corpus.dev else (),
        "near copies of test, development or other training rows": corpus.unused.labels,
    }
    counts = [f"{labels.count(label):,} {words}" for words, labels in sides.items() if label in labels]
    return f" (its rows: {', '.join(counts)})" if counts else ""


def _most(corpus: Corpus, by_class: Sequence[np.ndarray]) -> list[int]:
    """The most labeled rows of each class: a class of two or more leaves one for development."""
    return [len(rows) if corpus.dev is not None else max(1, len(rows) - 1) for rows in by_class]


def _labels_per_class(
    corpus: Corpus, by_class: Sequence[np.ndarray], labels: int, label_sampling: LabelSampling, seed: int
) -> list[int]:
    """The number of labeled rows of each class."""
    most = _most(corpus, by_class)
    if label_sampling == "proportional":
        if labels > sum(most):
            raise SettingsError(
                f"labels={labels}: {corpus.name} has {sum(most):,} distinct texts to label, besides development rows; "
                "use fewer, or all"
            )
        return _in_proportion([len(rows) for rows in by_class], labels, most)
    classes = len(by_class)
    first = sorted(range(classes), key=lambda number: keyed_seed("one more", seed, number))
    labels_per_class = [labels // classes + (first.index(number) < labels % classes) for number in range(classes)]
    for name, rows, count, limit in zip(corpus.classes, by_class, labels_per_class, most, strict=True):
        if count > limit:
            for_dev = " (one of them for dev)" if limit < len(rows) else ""
            remedies = [f"use at most {classes * min(most):,}"]
            if labels <= sum(most):
                remedies.append("draw the labels in the proportions of the classes (--label-sampling proportional)")
            raise SettingsError(
                f"labels={labels} needs {count:,} texts of class {name!r}, and {corpus.name} has {len(rows):,} for "
                f"training{for_dev}; {', or '.join([*remedies, 'use all (--labels all)'])}"
            )
    return labels_per_class


def _draw_dev(
    corpus: Corpus, left: Sequence[np.ndarray], labels: Labels, dev: int | None, without_label: int
) -> np.ndarray:
    """The indices of the development rows.

    Args:
        without_label: the number of rows, also of those that `left` lacks: so the default is the same for each seed.
    """
    sizes = [len(rows) for rows in left]
    most = [size - 1 for size in sizes] if labels == "all" else sizes  # one row of each class stays labeled
    least = sum(count > 0 for count in most)
    if not least:
        raise SettingsError(
            f"labels={labels} leaves no text of {corpus.name} for development; use fewer, or add development rows "
            "(--dev FILE)"
        )
    if dev is None:
        share = min(DEV_MOST, without_label // DEV_SHARE)
        dev = min(sum(most), max(least, share if labels == "all" else min(share, labels)))
    if not least <= dev <= sum(most):
        raise SettingsError(
            f"dev={dev}: {corpus.name} has {sum(most):,} texts left for development; use {least} to {sum(most):,}"
        )
    return _first(left, _in_proportion(sizes, dev, most))


def _first(groups: Sequence[np.ndarray], counts: Sequence[int]) -> np.ndarray:
    return np.concatenate([rows[:count] for rows, count in zip(groups, counts, strict=True)])


def _in_proportion(sizes: Sequence[int], total: int, most: Sequence[int]) -> list[int]:
    """`total` in the proportions of `sizes` by largest remainder; at least one of each, if `most` allows it."""
    shares = [total * size / sum(sizes) for size in sizes]
    least = [min(1, limit) for limit in most]
    counts = [min(limit, max(low, int(share))) for share, low, limit in zip(shares, least, most, strict=True)]
    while sum(counts) != total:
        step = 1 if sum(counts) < total else -1
        able = [n for n in range(len(sizes)) if (counts[n] < most[n] if step > 0 else counts[n] > least[n])]
        counts[max(able, key=lambda n: (step * (shares[n] - counts[n]), -n))] += step
    return counts


def _unlabeled_pool(corpus: Corpus, *, but: Sequence[Rows]) -> Sequence[str]:
    """The texts of the training side without the texts of the rows in `but` and their near copies.

    They are sorted, one per group of near copies.

    They do not depend on the order of a file, nor on whether it fits in memory.
    """
    seen = {text_essence(text) for rows in but for text in rows.texts}
    texts = chain(corpus.train.texts, corpus.unlabeled)
    pool = sorted_distinct(text for text in texts if text_essence(text) not in seen)
    first = first_copies(pool)
    return pool if len(first) == len(pool) else take_texts(pool, first)


def _fewer(texts: Sequence[str], count: int, seed: int) -> Sequence[str]:
    keyed = ((keyed_seed("unlabeled", seed, row_key(text)), index) for index, text in enumerate(texts))
    return take_texts(texts, np.array(sorted(index for _, index in nsmallest(count, keyed)), dtype=np.int64))


def _digest(classes: Sequence[str], labeled: Rows, unlabeled: Sequence[str], dev: Rows, test: Rows) -> str:
    return digest_of(classes, labeled.texts, labeled.labels, unlabeled, dev.texts, dev.labels, test.texts, test.labels)
