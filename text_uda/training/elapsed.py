"""The time that a run has taken, summed over the processes that resumed it."""

import time
from typing import NamedTuple


class Elapsed(NamedTuple):
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    """Of all threads."""


NO_TIME = Elapsed()


class Stopwatch:
    """Starts when it is created.

    Args:
        before: time up to the checkpoint that this process resumes from; it is added.
    """

    def __init__(self, before: Elapsed = NO_TIME) -> None:
        self._started = Elapsed(time.monotonic() - before.seconds, time.process_time() - before.cpu_seconds)

    def elapsed(self) -> Elapsed:
        started = self._started
        return Elapsed(time.monotonic() - started.seconds, time.process_time() - started.cpu_seconds)
