"""Batches of sentences of similar length, within a token budget that an out-of-memory error halves."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from text_uda.errors import SettingsError

Result = TypeVar("Result")


def batches(lengths: Sequence[int], rows: Sequence[int], max_tokens: int) -> list[list[int]]:
    """The sources of each batch, sorted by length, the longest first.

    Args:
        lengths: tokens of each source.
        rows: outputs of each source; they share a batch, because a source is encoded once.
        max_tokens: the most tokens of a batch: its longest source times its rows. A source above it is one batch.
    """
    planned: list[list[int]] = []
    longest = rows_in_batch = 0
    for source in sorted(range(len(lengths)), key=lambda source: -lengths[source]):
        if not planned or longest * (rows_in_batch + rows[source]) > max_tokens:
            planned.append([])
            longest, rows_in_batch = lengths[source], 0
        planned[-1].append(source)
        rows_in_batch += rows[source]
    return planned


@dataclass
class Budget:
    """The token budget of a model on a device."""

    max_tokens: int

    def run(
        self, lengths: Sequence[int], rows: Sequence[int], work: Callable[[list[int]], Result]
    ) -> Iterator[tuple[list[int], Result]]:
        """(sources of the batch, result of `work`) for each batch.

        An out-of-memory error halves the budget, also for later calls, and the remaining sources are batched again.

        Raises:
            SettingsError: one source alone does not fit in memory.
        """
        todo = list(range(len(lengths)))
        while todo:
            plan = batches([lengths[source] for source in todo], [rows[source] for source in todo], self.max_tokens)
            plan = [[todo[place] for place in batch] for batch in plan]
            finished: set[int] = set()
            for batch in plan:
                try:
                    result = work(batch)
                except RuntimeError as error:  # torch.OutOfMemoryError is one
                    if not _is_out_of_memory(error):
                        raise
                    size = max(lengths[source] for source in batch) * sum(rows[source] for source in batch)
                    self._halve(size, single=len(batch) == 1, reason=" ".join(str(error).split()))
                    break
                yield batch, result
                finished.update(batch)
            todo = [source for source in todo if source not in finished]

    def _halve(self, size: int, *, single: bool, reason: str) -> None:
        if single:
            raise SettingsError(
                f"there is no memory for one sentence ({reason:.200}); use fewer samples or a smaller model"
            )
        self.max_tokens = max(1, min(self.max_tokens, size) // 2)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _is_out_of_memory(error: RuntimeError) -> bool:
    """Recognizes the errors of torch and CTranslate2 on a GPU, and of torch on a CPU."""
    message = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in message or "not enough memory" in message
