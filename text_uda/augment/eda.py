"""EDA: one of synonym replacement, random insertion, random swap and random deletion."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from text_uda.augment.compose import OneOf
from text_uda.augment.deletion import Deletion
from text_uda.augment.insertion import Insertion
from text_uda.augment.swap import Swap
from text_uda.augment.synonym import Synonym
from translation_cache import Job, Paraphrase


@dataclass(frozen=True, kw_only=True)
class EDA(Job):
    """Draws one of four operations for each sample of each text, with equal probability.

    Source: Wei & Zou 2019, "EDA: Easy Data Augmentation Techniques" (arXiv 1901.11196), Section 2; alpha -> rate. Each
    operation states where it departs from the paper.
    """

    rate: float = 0.1
    """Share of the words that the operation changes, in (0, 1]; 0.05 to 0.1 in the paper."""

    seed: int = 0

    protect: tuple[str, ...] = ()
    """Words to leave alone, such as those that carry the label; list each form, in any case."""

    language: str = "en"
    """Of the texts, such as es or spa; sentences in another one stay. Not for `any`; other languages than English need
    their Open Multilingual WordNet."""

    def __post_init__(self) -> None:
        _ = self._one_of  # the operations check rate, protect and language

    @cached_property
    def _one_of(self) -> OneOf:
        operations = (Synonym, Insertion, Swap, Deletion)
        return OneOf(
            operations=tuple(
                operation(rate=self.rate, seed=self.seed, protect=self.protect, language=self.language)
                for operation in operations
            ),
            seed=self.seed,
        )

    def settings(self) -> dict[str, Any]:
        """Raises MissingPartError if there is no WordNet."""
        return self._one_of.settings() | {"method": "eda"}

    def __call__(self, sources: Sequence[str], samples: Sequence[int]) -> list[Paraphrase]:
        """Raises MissingPartError if there is no WordNet."""
        return self._one_of(sources, samples)
