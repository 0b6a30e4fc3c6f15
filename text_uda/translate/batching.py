"""Batches of sentences of similar length, within a token budget that an out-of-memory error halves."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TypeVar

import torch

from text_uda.errors import SettingsError
from text_uda.model.cuda import exclusive, free_memory, is_out_of_memory

Result = TypeVar("Result")

RECOVERY = 64
"""Batches after which a halved budget doubles again."""


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
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def __post_init__(self) -> None:
        self._most, self._successes = self.max_tokens, 0

    def exclusive(self) -> AbstractContextManager[object]:
        """The block in which `work` needs the device's memory; what it prepares on the CPU can stay outside."""
        return exclusive(self.device)

    def rows(self, outputs: int, *, beams: int) -> int:
        """The rows of a source in a batch. On a CPU beams do not count: the last bits of a score depend on the batch,
        and memory is not short there."""
        return outputs if beams == 1 or self.device.type == "cpu" else beams

    def run(
        self, lengths: Sequence[int], rows: Sequence[int], work: Callable[[list[int]], Result]
    ) -> Iterator[tuple[list[int], Result]]:
        """(sources of the batch, result of `work`) for each batch.

        An out-of-memory error halves the budget, also for later calls, and the remaining sources are batched again.
        After RECOVERY batches that fit, the budget doubles again: another process may have left the device.

        Raises:
            SettingsError: one source alone does not fit in memory.
        """
        todo = list(range(len(lengths)))
        failed_alone: int | None = None
        while todo:
            plan = batches([lengths[source] for source in todo], [rows[source] for source in todo], self.max_tokens)
            plan = [[todo[place] for place in batch] for batch in plan]
            finished: set[int] = set()
            for batch in plan:
                try:
                    result = work(batch)
                except RuntimeError as error:  # torch.OutOfMemoryError is one
                    if not is_out_of_memory(error):
                        raise
                    reason = " ".join(str(error).split())
                else:
                    yield batch, result
                    finished.update(batch)
                    self._recover()
                    continue
                # Not in the handler: there the traceback keeps the tensors of the batch.
                free_memory()
                if len(batch) > 1:
                    self._halve(max(lengths[source] for source in batch) * sum(rows[source] for source in batch))
                elif batch[0] == failed_alone:
                    raise SettingsError(
                        f"there is no memory for one sentence ({reason:.200}); use fewer samples or a smaller model"
                    )
                else:  # try again in the memory that is free now
                    failed_alone = batch[0]
                break
            todo = [source for source in todo if source not in finished]

    def _halve(self, size: int) -> None:
        self.max_tokens, self._successes = max(1, min(self.max_tokens, size) // 2), 0

    def _recover(self) -> None:
        self._successes += 1
        if self._successes == RECOVERY:
            self.max_tokens, self._successes = min(2 * self.max_tokens, self._most), 0
