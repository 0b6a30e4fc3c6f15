"""The unlabeled pairs of training: each text with its usable paraphrases. A text is never paired with itself."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from text_uda.batch import Inputs
from text_uda.errors import SettingsError
from text_uda.rows import ModelRows
from translation_cache import Paraphrase

MakeRows = Callable[[Sequence[str]], ModelRows]


@dataclass(frozen=True)
class Coverage:
    """What the augmentation did to the unlabeled texts."""

    method: str
    change_rate: float
    """Mean share of words changed over the usable paraphrases, 0 to 1."""
    usable: float
    """Share of texts with a usable paraphrase, 0 to 1."""
    statuses: dict[str, int] = field(default_factory=dict)
    """How many paraphrases ended how."""


class Pairs:
    """The texts that have a usable paraphrase, and those paraphrases, ready for the model."""

    def __init__(
        self,
        texts: Sequence[str],
        paraphrases: Sequence[Sequence[Paraphrase]],
        make_rows: MakeRows,
        *,
        method: str,
    ) -> None:
        usable = [[p.text for p in samples if p.status == "ok" and p.text is not None] for samples in paraphrases]
        kept = [index for index, samples in enumerate(usable) if samples]
        every = [p for samples in paraphrases for p in samples]
        rates = [p.scores.get("change_rate", 0.0) for p in every if p.status == "ok"]
        self.coverage = Coverage(
            method=method,
            change_rate=float(np.mean(rates)) if rates else 0.0,
            usable=len(kept) / max(1, len(texts)),
            statuses=dict(sorted(Counter(p.status for p in every).items())),
        )
        if not kept:
            raise SettingsError(
                f"{method}: none of the {len(texts):,} unlabeled texts has a usable paraphrase "
                f"({self.coverage.statuses}); choose another --method or --translator"
            )
        self._counts = np.array([len(usable[index]) for index in kept])
        self._starts = np.concatenate([[0], np.cumsum(self._counts)[:-1]])
        self._original = make_rows([texts[index] for index in kept])
        self._augmented = make_rows([text for index in kept for text in usable[index]])

    def __len__(self) -> int:
        return len(self._counts)

    def batch(self, indices: np.ndarray, visits: np.ndarray) -> tuple[Inputs, Inputs]:
        """Both views of the rows; a row visited again shows its next sample."""
        chosen = self._starts[indices] + visits % self._counts[indices]
        return self._original.batch(indices), self._augmented.batch(chosen)
