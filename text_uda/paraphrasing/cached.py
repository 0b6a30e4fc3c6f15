"""Paraphrases of a cache as an augmentation, for use in compositions."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from text_uda.paraphrasing.cache_access import read_paraphrases
from text_uda.paraphrasing.filters import Filters
from translation_cache import Cache, Job, Paraphrase


@dataclass(frozen=True)
class Cached(Job):
    """Reads the paraphrases of an augmentation from a cache instead of making them; its unit is always the text.

    It can replace the augmentation in a composition: RandAugment can then use back-translation without a translator. A
    cache holds paraphrases of the original texts only, so it has to be the first operation.
    """

    augmentation: Job
    """With the settings that the cache was filled with."""

    cache: Cache | str | os.PathLike[str]
    """The cache, its folder, or its URI on an object store."""

    filters: Filters | None = None
    """Filters to apply on reading; None keeps the statuses in the cache."""

    @property
    def of_originals(self) -> bool:
        return True

    @property
    def batch_size(self) -> int:
        """Large, because each call scans the cache."""
        return 1 << 14

    @property
    def max_samples(self) -> int | None:
        return self.augmentation.max_samples

    def settings(self) -> dict[str, Any]:
        """The settings of the augmentation with the unit `text`, and the filters; not the location of the cache.

        Raises:
            SettingsError: the encoder of the similarity, of the filters, cannot be opened.
        """
        filters = {} if self.filters is None else {"filters": self.filters.settings()}
        return self.augmentation.settings() | {"unit": "text"} | filters

    def __call__(self, sources: Sequence[str], samples: Sequence[int]) -> list[Paraphrase]:
        """Raises SettingsError if the cache lacks some of them; the message names the differing setting."""
        samples_needed: dict[str, int] = {}  # per text: the cache may hold more samples of some texts than of others
        for source, sample in zip(sources, samples, strict=True):
            samples_needed[source] = max(sample + 1, samples_needed.get(source, 0))
        paraphrases: dict[str, list[Paraphrase]] = {}
        for count in sorted(set(samples_needed.values())):
            texts = [text for text, needed in samples_needed.items() if needed == count]
            read = read_paraphrases(texts, self.augmentation, self.cache, samples=count, filters=self.filters)
            paraphrases |= zip(texts, read, strict=True)
        return [paraphrases[source][sample] for source, sample in zip(sources, samples, strict=True)]
