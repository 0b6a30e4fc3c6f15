"""What a data set is, whatever it came from."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Literal

import numpy as np

from text_uda.data.texts import joined, taken

Labels = int | Literal["all"]
LabelSampling = Literal["balanced", "proportional"]


@dataclass(frozen=True)
class Rows:
    """Labeled texts; `labels[i]` is the index of the class of `texts[i]`."""

    texts: Sequence[str]
    """A tuple, or texts in a memory-mapped file where they are many."""
    labels: tuple[int, ...]

    def __post_init__(self) -> None:
        assert len(self.texts) == len(self.labels), "one label for each text"

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, places: np.ndarray) -> "Rows":
        """The rows at these places (N,), in this order."""
        return Rows(taken(self.texts, places), tuple(self.labels[place] for place in places.tolist()))

    @staticmethod
    def joined(*parts: "Rows") -> "Rows":
        """The rows of all parts, one part after the other."""
        labels = chain.from_iterable(part.labels for part in parts)
        return Rows(joined(*(part.texts for part in parts)), tuple(labels))


@dataclass(frozen=True)
class Corpus:
    """A data set: a training side, a test side that is read once, and texts without labels."""

    name: str
    description: str
    classes: tuple[str, ...]
    train: Rows
    """Each text once."""
    test: Rows
    """Every row as it stands: a text that stands twice counts twice."""
    unlabeled: Sequence[str] = ()
    """Further texts of the training side; a tuple, or in a memory-mapped file where they are many."""
    dev: Rows | None = None
    """Development rows of their own, as they stand; None where a split draws them from the training side."""
    unused: Rows = Rows((), ())
    """Labeled rows that no training reads: their text stands in `train` before, or on the test side or in `dev` but for
    case, punctuation and spaces."""

    def training_texts(self) -> Sequence[str]:
        """With and without a label: what is paraphrased, and what an encoder may be pretrained on."""
        return joined(self.train.texts, self.unlabeled)

    @cached_property
    def digest(self) -> str:
        """32 hex digits that stand for all texts and labels that a split may use."""
        sides = (self.train.texts, self.train.labels, self.test.texts, self.test.labels)
        dev = () if self.dev is None else (self.dev.texts, self.dev.labels)
        return digest_of(self.classes, *sides, self.unlabeled, *dev)


@dataclass(frozen=True)
class Split:
    """What a run trains on, chooses by (dev) and is measured on (test)."""

    name: str
    classes: tuple[str, ...]
    labeled: Rows
    unlabeled: Sequence[str]
    """The rest of the training side, labels taken away, and the corpus' own unlabeled texts, each once, sorted."""
    dev: Rows
    """Empty in the split of a refit (see `all_labels`)."""
    test: Rows
    digest: str
    """32 hex digits that stand for all of the above."""
    label_sampling: LabelSampling | None = None
    """How the labeled rows were drawn; None where they are all that there are, in a refit with the development rows."""
    class_sizes: tuple[int, ...] | None = None
    """Texts of each class on the training side, which the labeled rows were drawn from, (C,); None where not known."""

    @property
    def labels_per_class(self) -> list[int]:
        return np.bincount(np.asarray(self.labeled.labels, dtype=np.int64), minlength=len(self.classes)).tolist()

    @property
    def label_share(self) -> list[float]:
        """Of each class among the labeled rows, (C,)."""
        return [count / max(1, len(self.labeled)) for count in self.labels_per_class]

    @cached_property
    def test_digest(self) -> str:
        """32 hex digits that stand for the test texts and labels, in their order: no seed changes them."""
        return digest_of(self.test.texts, self.test.labels)


def digest_of(*parts: Sequence[object]) -> str:
    """32 hex digits of lists of texts or numbers, of which none runs into the next."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(f"{len(part)}:".encode())
        for item in part:
            data = str(item).encode("utf-8", "surrogatepass")
            digest.update(f"{len(data)}:".encode() + data)
    return digest.hexdigest()
