"""Being stopped between two steps, by Ctrl-C, by a batch scheduler or by a limit, so that what is done is kept."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Interrupted(KeyboardInterrupt):
    """SIGINT or SIGTERM came, or the time is over; the message says what was kept."""


class Stop:
    """Whether to stop: SIGINT or SIGTERM came, or the minutes are over."""

    def __init__(self, max_minutes: float | None) -> None:
        self._max_minutes, self._started = max_minutes, time.monotonic()
        self._signaled = threading.Event()

    def set(self) -> None:
        self._signaled.set()

    def is_set(self) -> bool:
        return self._signaled.is_set() or self._is_late()

    def words(self, done: int, steps: int, folder: Path) -> str:
        """What is said of it after `done` of `steps` steps, when a checkpoint lies in the folder."""
        why = f", as {self._max_minutes:g} minutes are over" if self._is_late() else ""
        return (
            f"stopped after step {done:,} of {steps:,}{why}; {folder} holds a checkpoint: "
            "the same command goes on from there"
        )

    def _is_late(self) -> bool:
        return self._max_minutes is not None and time.monotonic() - self._started >= 60 * self._max_minutes


@contextmanager
def stop_signals(max_minutes: float | None = None) -> Iterator[Stop]:
    """Ask the object between two steps whether to leave; a second SIGINT leaves at once.

    Args:
        max_minutes: from now on; None for no limit.
    """
    stop = Stop(max_minutes)
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    signaled = False

    def on_signal(number: int, frame: object) -> None:
        nonlocal signaled
        if signaled:
            raise KeyboardInterrupt
        signaled = True
        stop.set()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
