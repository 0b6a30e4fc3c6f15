"""The test side of a data set that has no test file: a fixed, stratified fifth of its texts."""

import numpy as np

from text_uda.data.corpus import Rows
from text_uda.data.near_copies import copied_in, copy_groups

TEST_SHARE = 5  # one text in five is a test row


def hold_out_test(rows: Rows) -> tuple[Rows, Rows]:
    """(train, test): a fifth of the distinct texts of each class, those with the smallest hashes.

    The two sides depend on the texts and their classes alone: no seed and no order of the rows moves a text across, and
    a text more or less hardly moves another one. Near copies stay on one side; where they have several
    labels they count for the rarest class. A class of two texts or more has a test row, and no class is left without a
    training row.
    """
    groups = copy_groups(rows.texts)
    labels = np.asarray(rows.labels, dtype=np.int64)
    in_test = _drawn(groups, labels)[groups] if len(rows) else np.zeros(0, dtype=bool)
    return rows.take(np.flatnonzero(~in_test)), rows.take(np.flatnonzero(in_test))


def _drawn(groups: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(G,) bool: whether each group is of the test side.

    Args:
        groups, labels: (N,), of each row.
    """
    classes = int(labels.max()) + 1
    pairs = np.unique(groups * classes + labels)  # a group and a label that it has, each pair once
    group, label = pairs // classes, pairs % classes
    size = np.bincount(label, minlength=classes)
    by_rarity = np.lexsort((label, size[label], group))
    _, first = np.unique(group[by_rarity], return_index=True)
    stratum = label[by_rarity][first]  # (G,)
    drawn = np.zeros(len(stratum), dtype=bool)
    for number in np.unique(label):
        members = np.flatnonzero(stratum == number)  # in the order of their hashes
        drawn[members[: _share(len(members))]] = True
    for number in np.unique(label):  # only where all texts of a class have near copies in rarer ones
        members = group[label == number]
        if drawn[members].all():
            drawn[members[-1]] = False
    return drawn


def _share(texts: int) -> int:
    """A fifth, rounded; one where there are two to seven texts."""
    return max(1, round(texts / TEST_SHARE)) if texts > 1 else 0


def without_overlap(train: Rows, test: Rows) -> tuple[Rows, Rows]:
    """(the training rows that have no near copy among the test rows, the others)."""
    there = copied_in(train.texts, test.texts)
    return train.take(np.flatnonzero(~there)), train.take(np.flatnonzero(there))
