"""What a data set is, whatever it came from."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from text_uda.data.texts import joined


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


@dataclass(frozen=True)
class Corpus:
    """A data set: a training side, a test side that is read once, and texts without labels."""

    name: str
    description: str
    classes: tuple[str, ...]
    train: Rows
    test: Rows
    unlabeled: Sequence[str] = ()
    """Further texts of the training side; a tuple, or in a memory-mapped file where they are many."""

    def training_texts(self) -> Sequence[str]:
        """With and without a label: what is paraphrased, and what an encoder may be pretrained on."""
        return joined(self.train.texts, self.unlabeled)

    @cached_property
    def digest(self) -> str:
        """32 hex digits that stand for all texts and labels."""
        sides = (self.train.texts, self.train.labels, self.test.texts, self.test.labels)
        return digest_of(self.classes, *sides, self.unlabeled)


@dataclass(frozen=True)
class Split:
    """What a run trains on, chooses by (dev) and is measured on (test)."""

    name: str
    classes: tuple[str, ...]
    labeled: Rows
    unlabeled: Sequence[str]
    """The rest of the training side, labels taken away, and the corpus' own unlabeled texts, each once, sorted."""
    dev: Rows
    test: Rows
    digest: str
    """32 hex digits that stand for all of the above."""

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
