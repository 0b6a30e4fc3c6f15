"""In which batches sentences are translated: of nearly equal length, within a budget that memory may lower."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from text_uda.errors import SettingsError

Made = TypeVar("Made")


def batches(lengths: Sequence[int], rows: Sequence[int], max_tokens: int) -> list[list[int]]:
    """Which sources share a batch, the longest first; within a batch they stand by length.

    Args:
        lengths: tokens of each source.
        rows: how many outputs are decoded from it; they share its batch, for it is encoded once.
        max_tokens: longest source of a batch times rows of the batch; a source that is over it alone has its own.
    """
    planned: list[list[int]] = []
    longest = filled = 0
    for source in sorted(range(len(lengths)), key=lambda source: -lengths[source]):
        if not planned or longest * (filled + rows[source]) > max_tokens:
            planned.append([])
            longest, filled = lengths[source], 0
        planned[-1].append(source)
        filled += rows[source]
    return planned


@dataclass
class Budget:
    """Of a model on a device."""

    max_tokens: int

    def run(
        self, lengths: Sequence[int], rows: Sequence[int], work: Callable[[list[int]], Made]
    ) -> Iterator[tuple[list[int], Made]]:
        """Batch by batch, which sources it has and what `work` makes of them.

        A batch that memory has no room for halves the budget, for all that follows, and is planned again.

        Raises:
            SettingsError: there is no room for one source alone.
        """
        todo = list(range(len(lengths)))
        while todo:
            plan = batches([lengths[source] for source in todo], [rows[source] for source in todo], self.max_tokens)
            plan = [[todo[place] for place in batch] for batch in plan]
            finished: set[int] = set()
            for batch in plan:
                try:
                    made = work(batch)
                except RuntimeError as error:  # torch.OutOfMemoryError is one
                    if not _is_out_of_memory(error):
                        raise
                    size = max(lengths[source] for source in batch) * sum(rows[source] for source in batch)
                    self._halve(size, alone=len(batch) == 1, told=" ".join(str(error).split()))
                    break
                yield batch, made
                finished.update(batch)
            todo = [source for source in todo if source not in finished]

    def _halve(self, size: int, *, alone: bool, told: str) -> None:
        if alone:
            raise SettingsError(
                f"there is no memory for one sentence ({told:.200}); ask for fewer samples, or take a smaller model"
            )
        self.max_tokens = max(1, min(self.max_tokens, size) // 2)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _is_out_of_memory(error: RuntimeError) -> bool:
    """Of torch on a GPU, of CTranslate2 there, of torch on a CPU."""
    told = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in told or "not enough memory" in told
