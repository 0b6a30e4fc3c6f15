"""Seeded, class-balanced splits. A hash of (seed, text) tells who is where: the order of a file changes nothing."""

import hashlib
from collections.abc import Sequence

from text_uda.data.corpus import Corpus, Rows, Split
from text_uda.errors import SettingsError
from text_uda.keyed import keyed_seed

TEST_SHARE = 5  # one text in five is a test row, where a data set has no test file
DEV_MOST = 1000  # rows of a development split that nobody asked for


def hold_out_test(rows: Rows) -> tuple[Rows, Rows]:
    """(train, test): a fixed fifth of the texts. It depends on the text alone, so no seed moves a row across.

    Texts that differ in case, spaces or punctuation only go to the same side.
    """
    in_test = [keyed_seed("test", _essence(text)) % TEST_SHARE == 0 for text in rows.texts]
    return _where(rows, [not flag for flag in in_test]), _where(rows, in_test)


def _essence(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())


def _where(rows: Rows, flags: Sequence[bool]) -> Rows:
    kept = [index for index, flag in enumerate(flags) if flag]
    return _take(rows, kept)


def _take(rows: Rows, indices: Sequence[int]) -> Rows:
    return Rows(tuple(rows.texts[index] for index in indices), tuple(rows.labels[index] for index in indices))


def without_overlap(train: Rows, test: Rows) -> Rows:
    """The training rows whose text is not in the test set too."""
    seen = {_essence(text) for text in test.texts}
    return _where(train, [_essence(text) not in seen for text in train.texts])


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
    by_class: list[list[int]] = [[] for _ in corpus.classes]
    for index in sorted(
        range(len(corpus.train)), key=lambda index: keyed_seed("split", seed, corpus.train.texts[index])
    ):
        by_class[corpus.train.labels[index]].append(index)
    first = sorted(range(classes), key=lambda number: keyed_seed("one more", seed, number))
    wanted = [labels // classes + (first.index(number) < labels % classes) for number in range(classes)]
    for name, rows, count in zip(corpus.classes, by_class, wanted, strict=True):
        if len(rows) <= count:
            most = classes * (min(map(len, by_class)) - 1)
            raise SettingsError(
                f"labels={labels} asks for {count:,} texts of class {name!r}, and {corpus.name} has {len(rows):,} for "
                f"training (one of them for dev); ask for at most {most:,}"
            )
    labeled = [index for rows, count in zip(by_class, wanted, strict=True) for index in rows[:count]]
    left = [rows[count:] for rows, count in zip(by_class, wanted, strict=True)]
    dev_rows = _proportional(left, _dev_size(corpus, left, dev))
    chosen = {*labeled, *dev_rows}
    rest = [corpus.train.texts[index] for index in range(len(corpus.train)) if index not in chosen]
    unlabeled = sorted({*rest, *corpus.unlabeled} - {corpus.train.texts[index] for index in chosen})
    labeled_rows, development = _take(corpus.train, sorted(labeled)), _take(corpus.train, sorted(dev_rows))
    return Split(
        name=corpus.name,
        classes=corpus.classes,
        labeled=labeled_rows,
        unlabeled=tuple(unlabeled),
        dev=development,
        test=corpus.test,
        digest=_digest(corpus.classes, labeled_rows, unlabeled, development, corpus.test),
    )


def _dev_size(corpus: Corpus, left: list[list[int]], dev: int | None) -> int:
    there = sum(map(len, left))
    if dev is None:
        return max(len(left), min(DEV_MOST, there // TEST_SHARE))
    if dev < len(left) or dev > there:
        raise SettingsError(
            f"dev={dev}: {corpus.name} has {there:,} texts left for training; ask for {len(left)} to {there:,}"
        )
    return dev


def _proportional(groups: list[list[int]], size: int) -> list[int]:
    """The first rows of each group, in proportion to the groups (largest remainder), at least one of each."""
    total = sum(map(len, groups))
    shares = [size * len(group) / total for group in groups]
    counts = [max(1, int(share)) for share in shares]
    while sum(counts) != size:
        step = 1 if sum(counts) < size else -1
        able = [n for n in range(len(groups)) if (counts[n] < len(groups[n]) if step > 0 else counts[n] > 1)]
        counts[max(able, key=lambda n: (step * (shares[n] - counts[n]), -n))] += step
    return [index for group, count in zip(groups, counts, strict=True) for index in group[:count]]


def _digest(classes: Sequence[str], labeled: Rows, unlabeled: Sequence[str], dev: Rows, test: Rows) -> str:
    digest = hashlib.blake2b(digest_size=16)
    parts = [classes, labeled.texts, labeled.labels, unlabeled, dev.texts, dev.labels, test.texts, test.labels]
    for part in parts:
        digest.update(f"{len(part)}:".encode())
        for item in part:
            data = str(item).encode("utf-8", "surrogatepass")
            digest.update(f"{len(data)}:".encode() + data)
    return digest.hexdigest()
