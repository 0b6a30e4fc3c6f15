"""An augmentation as a function for `datasets.Dataset.map`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, is_dataclass, replace
from typing import Any

from text_uda.errors import SettingsError
from translation_cache import Job, Paraphrase, check_job


@dataclass(frozen=True)
class AugmentColumn:
    """Adds a column of augmented texts: `dataset.map(AugmentColumn(Synonym()), batched=True)`.

    Where the augmentation leaves a text unchanged or the text is None, the new text is None; the column `<to>_status`
    says why. Equal settings have an equal fingerprint, so `datasets` finds its cached result again, and `num_proc`
    works.

    Raises:
        SettingsError: the augmentation works on sentences (back-translation): fill a cache and call `write_pairs`.
    """

    augmentation: Job
    """A method that reads texts, such as `Synonym()` or `SwitchOut()`."""

    column: str = "text"
    """Column of the texts."""

    to: str = "augmented"
    """Column of the augmented texts."""

    sample: int = 0
    """Number of the sample: another one is another augmentation of the same text."""

    def __post_init__(self) -> None:
        check_job(self.augmentation)
        settings = self.augmentation.settings()
        if settings["unit"] != "text":
            raise SettingsError(
                f"{settings['method']} works on sentences, not on texts: call paraphrase(texts, augmentation, cache), "
                "then write_pairs, which returns a datasets.Dataset"
            )

    def __call__(self, batch: Mapping[str, Sequence[str | None]]) -> dict[str, list[str | None]]:
        """The new columns of a batch of rows, column -> values."""
        texts = batch[self.column]
        if isinstance(texts, str):
            raise SettingsError("AugmentColumn reads batches: call map with batched=True")
        rows = [row for row, text in enumerate(texts) if text is not None]
        augmented = self.augmentation([text for text in texts if text is not None], [self.sample] * len(rows))
        paraphrases = [Paraphrase(None, "empty")] * len(texts)
        for row, paraphrase in zip(rows, augmented, strict=True):
            paraphrases[row] = paraphrase
        return {
            self.to: [paraphrase.text if paraphrase.status == "ok" else None for paraphrase in paraphrases],
            f"{self.to}_status": [paraphrase.status for paraphrase in paraphrases],
        }

    def __reduce__(self) -> tuple[Any, ...]:
        """Settings alone: what an augmentation remembers after its first call must not change the fingerprint."""
        augmentation: Any = self.augmentation
        if is_dataclass(self.augmentation):
            augmentation = replace(augmentation)
        return type(self), (augmentation, self.column, self.to, self.sample)
