"""Progress of long computations: a bar with rate and remaining time on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol

from tqdm import tqdm


class Progress(Protocol):
    def advance(self, count: int = 1) -> None: ...

    def note(self, text: str) -> None:
        """Show `text` beside the bar (a loss, an error rate)."""
        ...


_LINES = (  # from a wide terminal to a narrow one; the last to go are the note and the time left
    "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}{postfix}]",
    "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{remaining} left{postfix}]",
    "{desc}: {percentage:3.0f}%, {n_fmt}/{total_fmt}, {remaining} left{postfix}",
    "{desc}: {percentage:3.0f}%, {remaining} left{postfix}",
    "{percentage:3.0f}%, {remaining} left{postfix}",
    "{percentage:3.0f}%, {remaining} left",
)


class _FittingBar(tqdm):
    """A bar that leaves out words where the terminal is narrow, rather than cutting its line."""

    @staticmethod
    def format_meter(n: float, total: float, elapsed: float, ncols: int | None = None, **words: Any) -> str:
        for words["bar_format"] in _LINES:
            if ncols is None or len(tqdm.format_meter(n, total, elapsed, **words)) <= ncols:
                break
        return tqdm.format_meter(n, total, elapsed, ncols=ncols, **words)


class _Bar:
    def __init__(self, bar: tqdm) -> None:
        self._bar = bar

    def advance(self, count: int = 1) -> None:
        self._bar.update(count)

    def note(self, text: str) -> None:
        self._bar.set_postfix_str(text, refresh=False)


class _Lines:
    """Prints a line every few seconds, for log files."""

    def __init__(self, total: int, label: str, unit: str, done: int, every_s: float = 10.0) -> None:
        self._total, self._label, self._unit, self._every_s = total, label, unit, every_s
        self._done = self._first = done
        self._started = self._last_printed = time.monotonic()
        self._note = ""

    def advance(self, count: int = 1) -> None:
        self._done += count
        if time.monotonic() - self._last_printed >= self._every_s and self._done < self._total:
            self.print()

    def note(self, text: str) -> None:
        self._note = text

    def print(self) -> None:
        now = self._last_printed = time.monotonic()
        seconds = max(now - self._started, 1e-9)
        rate = (self._done - self._first) / seconds
        left = f", {(self._total - self._done) / rate:.0f} s left" if 0 < self._done < self._total and rate else ""
        speed = f" ({rate:,.1f} {self._unit}/s{left})" if rate else ""
        note = f" {self._note}" if self._note else ""
        print(f"{self._label}: {self._done:,}/{self._total:,} {self._unit}{speed}{note}", file=sys.stderr)


class _Silent:
    def advance(self, count: int = 1) -> None: ...

    def note(self, text: str) -> None: ...


@contextmanager
def progress_bar(total: int, label: str, unit: str, *, done: int = 0, shown: bool = True) -> Iterator[Progress]:
    """Show the progress of `total` units of work.

    Args:
        done: units of an earlier call; they do not count for the rate.
        shown: False shows nothing, for all but one of several processes.
    """
    if not shown:
        yield _Silent()
        return
    if sys.stderr.isatty():
        with _FittingBar(total=total, initial=done, desc=label, unit=f" {unit}", dynamic_ncols=True) as bar:
            yield _Bar(bar)
        return
    lines = _Lines(total, label, unit, done)
    try:
        yield lines
    finally:
        lines.print()


@contextmanager
def above_bars() -> Iterator[None]:
    """Lines that are written to standard error here stand above the bars, not at the end of one."""
    with tqdm.external_write_mode(file=sys.stderr):
        yield


@contextmanager
def followed(label: str, unit: str, *, shown: bool = True) -> Iterator[Callable[[int, int], None]]:
    """A callback(done, total) that shows progress, for code that does not print. The bar opens at the first call.

    Units that are done at the first call do not count for the rate.
    """
    with ExitStack() as stack:
        bar: Progress | None = None
        last = 0

        def follow(done: int, total: int) -> None:
            nonlocal bar, last
            if bar is None:
                bar, last = stack.enter_context(progress_bar(total, label, unit, done=done, shown=shown)), done
            bar.advance(done - last)
            last = done

        yield follow
