"""Progress of long steps: a bar with rate and time left on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Protocol

from tqdm import tqdm


class Progress(Protocol):
    def advance(self, count: int = 1) -> None: ...

    def note(self, text: str) -> None:
        """Say `text` beside the bar (a loss, an error rate)."""
        ...


class _Bar:
    def __init__(self, bar: tqdm) -> None:
        self._bar = bar

    def advance(self, count: int = 1) -> None:
        self._bar.update(count)

    def note(self, text: str) -> None:
        self._bar.set_postfix_str(text, refresh=False)


class _Lines:
    """One line every few seconds: what a log file or a batch scheduler wants to keep."""

    def __init__(self, total: int, label: str, unit: str, done: int, every_s: float = 10.0) -> None:
        self._total, self._label, self._unit, self._every_s = total, label, unit, every_s
        self._done = self._first = done
        self._started = self._said = time.monotonic()
        self._note = ""

    def advance(self, count: int = 1) -> None:
        self._done += count
        if time.monotonic() - self._said >= self._every_s and self._done < self._total:
            self.say()

    def note(self, text: str) -> None:
        self._note = text

    def say(self) -> None:
        now = self._said = time.monotonic()
        seconds = max(now - self._started, 1e-9)
        rate = (self._done - self._first) / seconds
        left = f", {(self._total - self._done) / rate:.0f} s left" if 0 < self._done < self._total and rate else ""
        rate_words = f" ({rate:,.1f} {self._unit}/s{left})" if rate else ""
        note = f" {self._note}" if self._note else ""
        print(f"{self._label}: {self._done:,}/{self._total:,} {self._unit}{rate_words}{note}", file=sys.stderr)


class _Silent:
    def advance(self, count: int = 1) -> None: ...

    def note(self, text: str) -> None: ...


@contextmanager
def progress(total: int, label: str, unit: str, *, done: int = 0, shown: bool = True) -> Iterator[Progress]:
    """Follow `total` units of work, of which `done` were done before (they do not count for the rate).

    Args:
        shown: False says nothing; of several processes one is enough.
    """
    if not shown:
        yield _Silent()
        return
    if sys.stderr.isatty():
        with tqdm(total=total, initial=done, desc=label, unit=f" {unit}", dynamic_ncols=True) as bar:
            yield _Bar(bar)
        return
    lines = _Lines(total, label, unit, done)
    try:
        yield lines
    finally:
        lines.say()


@contextmanager
def followed(label: str, unit: str, *, shown: bool = True) -> Iterator[Callable[[int, int], None]]:
    """Give a callback(done, total) for code that knows nothing of terminals; the bar opens at its first call.

    What is done at the first call was done before, and does not count for the rate.
    """
    with ExitStack() as stack:
        bar: Progress | None = None
        last = 0

        def follow(done: int, total: int) -> None:
            nonlocal bar, last
            if bar is None:
                bar, last = stack.enter_context(progress(total, label, unit, done=done, shown=shown)), done
            bar.advance(done - last)
            last = done

        yield follow
