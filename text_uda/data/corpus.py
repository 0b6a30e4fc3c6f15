"""What a data set is, whatever it came from."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Rows:
    """Labeled texts; `labels[i]` is the index of the class of `texts[i]`."""

    texts: tuple[str, ...]
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
    unlabeled: tuple[str, ...] = ()
    """Further texts of the training side."""


@dataclass(frozen=True)
class Split:
    """What a run trains on, chooses by (dev) and is measured on (test)."""

    name: str
    classes: tuple[str, ...]
    labeled: Rows
    unlabeled: tuple[str, ...]
    """The rest of the training side, labels taken away, and the corpus' own unlabeled texts."""
    dev: Rows
    test: Rows
    digest: str
    """32 hex digits that stand for all of the above."""
