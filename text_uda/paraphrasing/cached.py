"""Paraphrases from the cache as an augmentation, to be composed with others."""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from text_uda.paraphrasing.fill_and_read import read_paraphrases
from text_uda.paraphrasing.filters import Filters
from translation_cache import Cache, Job, Paraphrase


@dataclass(frozen=True)
class Cached:
    """What an augmentation made is read from the cache in place of being made; always whole texts.

    It stands where the augmentation could: RandAugment may so have back-translation among its operations and need no
    translator. As a cache has paraphrases of the texts of the data alone, it can only be the first operation.
    """

    augmentation: Job
    """With the settings that the cache was filled with."""

    cache: Cache | str | os.PathLike[str]
    """Or its folder, or the URI of one on an object store."""

    filters: Filters | None = None
    """Judge anew what is usable; None takes what was judged when it was made."""

    of_originals = True
    batch_size = 1 << 14
    """Texts that it is best given at once: each call looks through the cache."""

    @property
    def max_samples(self) -> int | None:
        return getattr(self.augmentation, "max_samples", None)

    def settings(self) -> dict[str, Any]:
        """Those of the augmentation, whose unit is the text here; where the cache lies has no say."""
        judged = {}
        if self.filters is not None:
            judged = {"filters": asdict(self.filters) | {"accept": sorted(self.filters.accept)}}
        return self.augmentation.settings() | {"unit": "text"} | judged

    def __call__(self, sources: Sequence[str], samples: Sequence[int]) -> list[Paraphrase]:
        """Raises SettingsError where some were never made with these settings; it says what is different."""
        most: dict[str, int] = {}  # how many samples of a text are needed, for a cache may have more of another one
        for source, sample in zip(sources, samples, strict=True):
            most[source] = max(sample + 1, most.get(source, 0))
        made: dict[str, list[Paraphrase]] = {}
        for count in sorted(set(most.values())):
            texts = [text for text, needed in most.items() if needed == count]
            read = read_paraphrases(texts, self.augmentation, self.cache, samples=count, filters=self.filters)
            made |= zip(texts, read, strict=True)
        return [made[source][sample] for source, sample in zip(sources, samples, strict=True)]
