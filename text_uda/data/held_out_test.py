"""The test side of a data set without test file: a fixed, stratified fifth of its texts."""

from collections.abc import Sequence

import numpy as np

from text_uda.data.corpus import Rows
from text_uda.data.near_copies import have_near_copy, text_groups

TEST_SHARE = 5  # one text in five is a test row


def hold_out_test(rows: Rows, documents: Sequence[str] | None = None) -> tuple[Rows, Rows]:
    """(train, test): the test side is the fifth of the distinct texts of each class with the smallest hashes.

    The sides depend only on the texts and their classes, not on a seed or on the order of the rows; an additional text
    hardly moves others. Near copies stay on one side, whatever their columns; with several labels they count for the
    rarest class. Every class of two or more texts has a test row, and every class has a training row.

    Args:
        documents: of each row, (N,). The rows of one document stay on one side too, which then has about a fifth of
            the documents, and as many rows as these have.
    """
    groups = text_groups(rows.texts)
    if documents is not None and len(rows):
        groups = _with_documents(groups, documents)
    labels = np.asarray(rows.labels, dtype=np.int64)
    in_test = _drawn(groups, labels)[groups] if len(rows) else np.zeros(0, dtype=bool)
    return rows.take(np.flatnonzero(~in_test)), rows.take(np.flatnonzero(in_test))


def _with_documents(groups: np.ndarray, documents: Sequence[str]) -> np.ndarray:
    """For each row the number of its group: rows that share a near copy or a document, also by way of others, (N,).

    Groups of near copies are numbered in the order of their hashes. The smallest number u of K of them, as a share of
    all numbers, is small where K is large; 1 - (1 - u)^K is not, so it orders the joined groups, and large documents
    are as rare in the first fifth as small ones.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    _, document = np.unique(np.asarray(documents), return_inverse=True)
    copies = int(groups.max()) + 1
    size = copies + int(document.max()) + 1
    edges = coo_array((np.ones(len(groups), dtype=np.int8), (groups, copies + document)), shape=(size, size))
    _, component = connected_components(edges, directed=False)
    of_copies = component[:copies]
    _, first, joined, members = np.unique(of_copies, return_index=True, return_inverse=True, return_counts=True)
    order = np.argsort(1 - (1 - (first + 0.5) / copies) ** members, kind="stable")
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    return place[joined][groups]


def _drawn(groups: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Whether each group belongs to the test side, (G,) bool.

    Args:
        groups, labels: of each row, (N,).
    """
    classes = int(labels.max()) + 1
    pairs = np.unique(groups * classes + labels)  # distinct (group, label)
    group, label = pairs // classes, pairs % classes
    size = np.bincount(label, minlength=classes)
    by_rarity = np.lexsort((label, size[label], group))
    _, first = np.unique(group[by_rarity], return_index=True)
    stratum = label[by_rarity][first]  # (G,)
    drawn = np.zeros(len(stratum), dtype=bool)
    for number in np.unique(label):
        members = np.flatnonzero(stratum == number)  # in the order of their hashes
        drawn[members[: _share(len(members))]] = True
    for number in np.unique(label):  # only if all texts of a class have near copies in rarer classes
        members = group[label == number]
        if drawn[members].all():
            drawn[members[-1]] = False
    return drawn


def _share(texts: int) -> int:
    """A fifth, rounded; at least one of two or more texts."""
    return max(1, round(texts / TEST_SHARE)) if texts > 1 else 0


def without_overlap(train: Rows, test: Rows) -> tuple[Rows, Rows]:
    """(the training rows without a near copy among the test rows, the others)."""
    overlaps = have_near_copy(train.texts, test.texts)
    return train.take(np.flatnonzero(~overlaps)), train.take(np.flatnonzero(overlaps))
