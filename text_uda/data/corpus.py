"""A data set and its splits, independent of its source."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import Literal

import numpy as np

from text_uda.data.row_columns import OtherColumns, columns_of, row_key
from text_uda.data.texts import joined, take_texts
from text_uda.errors import DataError

Labels = int | Literal["all"]
LabelSampling = Literal["balanced", "proportional"]


@dataclass(frozen=True)
class Rows:
    """Labeled texts; `labels[i]` is the index of the class of `texts[i]`."""

    texts: Sequence[str]
    """A tuple, or a memory-mapped file for many texts. Of rows with other columns they are `RowText`s."""
    labels: tuple[int, ...]

    def __post_init__(self) -> None:
        assert len(self.texts) == len(self.labels), "one label for each text"

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def columns(self) -> OtherColumns:
        """The columns beside the texts."""
        return columns_of(self.texts)

    def take(self, places: np.ndarray) -> "Rows":
        """The rows at these indices (N,)."""
        return Rows(take_texts(self.texts, places), tuple(self.labels[place] for place in places.tolist()))

    @staticmethod
    def joined(*parts: "Rows") -> "Rows":
        """The concatenation of the parts."""
        labels = chain.from_iterable(part.labels for part in parts)
        return Rows(joined(*(part.texts for part in parts)), tuple(labels))


@dataclass(frozen=True)
class Corpus:
    """A data set: a training side, a test side, and texts without labels."""

    name: str
    description: str
    classes: tuple[str, ...]
    train: Rows
    """Distinct texts."""
    test: Rows
    """Test rows, with duplicates."""
    unlabeled: Sequence[str] = ()
    """More texts of the training side; a tuple, or a memory-mapped file for many texts."""
    dev: Rows | None = None
    """Separate development rows, with duplicates; None if a split draws them from the training side."""
    unused: Rows = Rows((), ())
    """Labeled rows outside training: duplicates of a row in `train`, and near copies of rows in `test` or `dev`."""

    def training_texts(self) -> Sequence[str]:
        """Labeled and unlabeled texts: the input of paraphrasing and of pretraining."""
        return joined(self.train.texts, self.unlabeled)

    def check_labels(self) -> None:
        """Raises DataError if there are none."""
        if not self.classes:
            raise DataError(
                f"{self.name} has texts and no labels ({self.description}): name the column of its labels"
                " (--label-column), or give a file with labels as DATA and this one as --unlabeled"
            )

    def all_texts(self) -> Sequence[str]:
        """The texts of every side, with repetitions."""
        rows = (self.train, self.test, self.unused, *((self.dev,) if self.dev else ()))
        return joined(self.unlabeled, *(part.texts for part in rows))

    @cached_property
    def digest(self) -> str:
        """32 hex digits over all texts and labels that a split can use."""
        sides = (self.train.texts, self.train.labels, self.test.texts, self.test.labels)
        dev = () if self.dev is None else (self.dev.texts, self.dev.labels)
        return digest_of(self.classes, *sides, self.unlabeled, *dev)


@dataclass(frozen=True)
class Split:
    """The data of a run: for training (labeled, unlabeled), for model selection (dev), for evaluation (test)."""

    name: str
    classes: tuple[str, ...]
    labeled: Rows
    unlabeled: Sequence[str]
    """The other texts of the training side without their labels, and the unlabeled texts of the corpus; distinct and
    sorted."""
    dev: Rows
    """Empty in the split of a refit (see `all_labels`)."""
    test: Rows
    digest: str
    """32 hex digits over all of the above."""
    label_sampling: LabelSampling | None = None
    """How the labeled rows were drawn; None if all rows are labeled, in a refit also the development rows."""
    most_unlabeled: int | None = field(default=None, compare=False)
    """The limit on the unlabeled texts, whether or not it left out any; None for no limit."""
    training_texts: int | None = None
    """Rows with a label and unlabeled texts before any draw, so of each seed the same; None if unknown."""
    class_sizes: tuple[int, ...] | None = None
    """Texts of each class on the training side before the draw, (C,); None if unknown."""

    @property
    def columns(self) -> OtherColumns:
        """The columns beside the texts."""
        return self.labeled.columns

    @property
    def labels_per_class(self) -> list[int]:
        return np.bincount(np.asarray(self.labeled.labels, dtype=np.int64), minlength=len(self.classes)).tolist()

    @property
    def label_share(self) -> list[float]:
        """The share of each class among the labeled rows, (C,)."""
        return [count / max(1, len(self.labeled)) for count in self.labels_per_class]

    @cached_property
    def test_digest(self) -> str:
        """32 hex digits over the test texts and labels in order; independent of the seed."""
        return digest_of(self.test.texts, self.test.labels)


def digest_of(*parts: Sequence[object]) -> str:
    """32 hex digits over lists of texts (with their columns) or numbers.

    Lengths count too, so that no two inputs concatenate alike.
    """
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(f"{len(part)}:".encode())
        for item in part:
            data = (row_key(item) if isinstance(item, str) else str(item)).encode("utf-8", "surrogatepass")
            digest.update(f"{len(data)}:".encode() + data)
    return digest.hexdigest()
