"""Seeded, class-balanced splits. A hash of (seed, text) tells who is where: the order of a file changes nothing."""

from collections.abc import Sequence
from itertools import chain

import numpy as np

from text_uda.data.corpus import Corpus, Rows, Split, digest_of
from text_uda.data.texts import sorted_distinct, taken, text_keys
from text_uda.errors import SettingsError
from text_uda.keyed import keyed_seed
from translation_cache.key import KEY_BYTES, keys_from_bytes
from translation_cache.keyset import KeySet

TEST_SHARE = 5  # one text in five is a test row, where a data set has no test file
DEV_MOST = 1000  # rows of a development split that nobody asked for


def hold_out_test(rows: Rows) -> tuple[Rows, Rows]:
    """(train, test): a fixed fifth of the texts. It depends on the text alone, so no seed moves a row across.

    Texts that differ in case, spaces or punctuation only go to the same side.
    """
    drawn = (keyed_seed("test", _essence(text)) % TEST_SHARE == 0 for text in rows.texts)
    in_test = np.fromiter(drawn, dtype=bool, count=len(rows))
    return _take(rows, np.flatnonzero(~in_test)), _take(rows, np.flatnonzero(in_test))


def _essence(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())


def _take(rows: Rows, indices: np.ndarray) -> Rows:
    return Rows(taken(rows.texts, indices), tuple(rows.labels[index] for index in indices.tolist()))


def without_overlap(train: Rows, test: Rows) -> Rows:
    """The training rows whose text is not in the test set too."""
    seen, asked = (text_keys(map(_essence, rows.texts)) for rows in (test, train))
    return _take(train, np.flatnonzero(KeySet(seen).find(asked) < 0))


def split(corpus: Corpus, *, labels: int, seed: int, dev: int | None = None) -> Split:
    """Choose labeled and development rows from the training side, class by class; the rest is unlabeled.

    Args:
        labels: labeled rows in all, the same number of each class (classes drawn by the seed get one more where it
            does not divide).
        dev: development rows, in the proportions of the classes; None takes a fifth, at most 1,000.
    Raises:
        SettingsError: more rows are asked for than there are, or fewer labels than classes.
    """
    classes = len(corpus.classes)
    if labels < classes:
        raise SettingsError(f"labels={labels}: {corpus.name} has {classes} classes and needs a label for each")
    seeds = (keyed_seed("split", seed, text).to_bytes(KEY_BYTES, "big") for text in corpus.train.texts)
    keys = keys_from_bytes(b"".join(seeds))
    order = np.lexsort((keys[:, 1], keys[:, 0]))
    label_of = np.asarray(corpus.train.labels, dtype=np.int64)[order]
    by_class = [order[label_of == number] for number in range(classes)]
    first = sorted(range(classes), key=lambda number: keyed_seed("one more", seed, number))
    wanted = [labels // classes + (first.index(number) < labels % classes) for number in range(classes)]
    for name, rows, count in zip(corpus.classes, by_class, wanted, strict=True):
        if len(rows) <= count:
            most = classes * (min(map(len, by_class)) - 1)
            raise SettingsError(
                f"labels={labels} asks for {count:,} texts of class {name!r}, and {corpus.name} has {len(rows):,} for "
                f"training (one of them for dev); ask for at most {most:,}"
            )
    labeled = np.concatenate([rows[:count] for rows, count in zip(by_class, wanted, strict=True)])
    left = [rows[count:] for rows, count in zip(by_class, wanted, strict=True)]
    dev_rows = _proportional(left, _dev_size(corpus, left, dev))
    labeled_rows, development = _take(corpus.train, np.sort(labeled)), _take(corpus.train, np.sort(dev_rows))
    unlabeled = _rest(corpus, chosen=(labeled_rows, development), places=np.concatenate([labeled, dev_rows]))
    return Split(
        name=corpus.name,
        classes=corpus.classes,
        labeled=labeled_rows,
        unlabeled=unlabeled,
        dev=development,
        test=corpus.test,
        digest=_digest(corpus.classes, labeled_rows, unlabeled, development, corpus.test),
    )


def _rest(corpus: Corpus, *, chosen: Sequence[Rows], places: np.ndarray) -> Sequence[str]:
    """What is not chosen, each text once, sorted: so that neither the order of a file nor its size changes a row."""
    left = np.ones(len(corpus.train), dtype=bool)
    left[places] = False
    seen = {text for rows in chosen for text in rows.texts}
    texts = chain(taken(corpus.train.texts, np.flatnonzero(left)), corpus.unlabeled)
    return sorted_distinct(text for text in texts if text not in seen)


def _dev_size(corpus: Corpus, left: Sequence[np.ndarray], dev: int | None) -> int:
    there = sum(map(len, left))
    if dev is None:
        return max(len(left), min(DEV_MOST, there // TEST_SHARE))
    if dev < len(left) or dev > there:
        raise SettingsError(
            f"dev={dev}: {corpus.name} has {there:,} texts left for training; ask for {len(left)} to {there:,}"
        )
    return dev


def _proportional(groups: Sequence[np.ndarray], size: int) -> np.ndarray:
    """The first rows of each group, in proportion to the groups (largest remainder), at least one of each."""
    total = sum(map(len, groups))
    shares = [size * len(group) / total for group in groups]
    counts = [max(1, int(share)) for share in shares]
    while sum(counts) != size:
        step = 1 if sum(counts) < size else -1
        able = [n for n in range(len(groups)) if (counts[n] < len(groups[n]) if step > 0 else counts[n] > 1)]
        counts[max(able, key=lambda n: (step * (shares[n] - counts[n]), -n))] += step
    return np.concatenate([group[:count] for group, count in zip(groups, counts, strict=True)])


def _digest(classes: Sequence[str], labeled: Rows, unlabeled: Sequence[str], dev: Rows, test: Rows) -> str:
    return digest_of(classes, labeled.texts, labeled.labels, unlabeled, dev.texts, dev.labels, test.texts, test.labels)
