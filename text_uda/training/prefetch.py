"""Prepares the batches of the next steps in a thread, while a step runs."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Batch = TypeVar("Batch")

PREFETCHED = 2  # batches ahead of the step that runs


def prefetched(prepare: Callable[[int], Batch], first: int, last: int) -> Iterator[Batch]:
    """`prepare(step)` for steps [first, last), in order; one thread calls it."""
    with ThreadPoolExecutor(1, thread_name_prefix="batches") as thread:
        prepared: deque[Future[Batch]] = deque()
        try:
            for step in range(first, last):
                while len(prepared) <= PREFETCHED and step + len(prepared) < last:
                    prepared.append(thread.submit(prepare, step + len(prepared)))
                yield prepared.popleft().result()
        finally:  # also where the loop ends early
            for future in prepared:
                future.cancel()
