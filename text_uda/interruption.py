"""Being stopped between two steps, by Ctrl-C or by a batch scheduler, so that what is done is kept."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Interrupted(KeyboardInterrupt):
    """SIGINT or SIGTERM came; the message says what was kept."""


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """Set the event on SIGINT or SIGTERM, so that the loop leaves between two steps; a second SIGINT leaves at once."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def on_signal(number: int, frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
