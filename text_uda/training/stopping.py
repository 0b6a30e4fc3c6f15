"""Being stopped between two steps, by Ctrl-C, by a batch scheduler or by a limit, so that what is done is kept."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from text_uda.errors import SettingsError


class Interrupted(KeyboardInterrupt):
    """SIGINT or SIGTERM came, or the time is over; the message says what was kept."""


class Stop:
    """Whether to stop: SIGINT or SIGTERM came, or the minutes are over, which count from here.

    Raises:
        SettingsError: of no minutes.
    """

    def __init__(self, max_minutes: float | None = None) -> None:
        if max_minutes is not None and not max_minutes > 0:
            raise SettingsError(f"max_minutes={max_minutes}: give a number above 0")
        self._max_minutes, self._started = max_minutes, time.monotonic()
        self._signaled = self._interrupted = False

    def is_set(self) -> bool:
        return self._signaled or self._is_late()

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Within this block the signals are for this object, to be asked between two steps; a second SIGINT leaves at
        once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def words(self, done: int, steps: int, folder: Path) -> str:
        """What is said of it after `done` of `steps` steps, when a checkpoint lies in the folder."""
        why = f", as {self._max_minutes:g} minutes are over" if self._is_late() else ""
        return (
            f"stopped after step {done:,} of {steps:,}{why}; {folder} holds a checkpoint: "
            "the same command goes on from there"
        )

    def _note(self, number: int, _frame: object) -> None:
        if number == signal.SIGINT and self._interrupted:
            raise KeyboardInterrupt
        self._signaled, self._interrupted = True, self._interrupted or number == signal.SIGINT

    def _is_late(self) -> bool:
        return self._max_minutes is not None and time.monotonic() - self._started >= 60 * self._max_minutes
