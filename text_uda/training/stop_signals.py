"""Stops a run between two steps, on Ctrl-C, a signal or a time limit, so that finished steps are kept."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from text_uda.errors import SettingsError


class Interrupted(KeyboardInterrupt):
    """SIGINT or SIGTERM arrived, or the time limit is reached; the message says what is kept."""


class StopRequest:
    """Whether the run should stop: SIGINT or SIGTERM arrived, or `max_minutes` have passed since construction.

    Raises:
        SettingsError: `max_minutes` is not above 0.
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
        """In this block the signals set this request; a second SIGINT raises KeyboardInterrupt immediately."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def message(self, done: int, steps: int, folder: Path) -> str:
        """The message of `Interrupted` after step `done` of `steps`, when `folder` holds a checkpoint."""
        reason = f" (limit of {self._max_minutes:g} minutes)" if self._is_late() else ""
        return (
            f"stopped after step {done:,} of {steps:,}{reason}; {folder} holds a checkpoint: "
            "the same command resumes from it"
        )

    def _handle(self, number: int, _frame: object) -> None:
        if number == signal.SIGINT and self._interrupted:
            raise KeyboardInterrupt
        self._signaled, self._interrupted = True, self._interrupted or number == signal.SIGINT

    def _is_late(self) -> bool:
        return self._max_minutes is not None and time.monotonic() - self._started >= 60 * self._max_minutes
