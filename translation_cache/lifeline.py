"""Worker processes that end with the process that started them, whatever ends it.

A pipe connects the two. Its end in the parent closes with the parent, also when that is killed, and a thread of the
worker waits for this. Processes that a worker starts read its output, and end when they have lost their input.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext

_STOP_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Lifeline:
    """Given to a process as an argument, it ends that process when it is closed here or this process ends."""

    def __init__(self, context: SpawnContext) -> None:
        self._watched, self._held = context.Pipe(duplex=False)

    def close(self) -> None:
        self._held.close()
        self._watched.close()

    def __getstate__(self) -> Connection:
        return self._watched

    def __setstate__(self, watched: Connection) -> None:
        # In the worker, before it unpickles later arguments, whose modules can take ten seconds to import.
        threading.Thread(target=_exit_at_end, args=(watched,), daemon=True).start()


def _exit_at_end(watched: Connection) -> None:
    with suppress(EOFError, OSError):
        watched.recv_bytes()
    os._exit(1)


@contextmanager
def signals_delayed() -> Iterator[None]:
    """Signals that stop this process wait for the end of the block; in a process started in it, for
    `leave_signals_to_parent`.

    Otherwise, Ctrl-C prints the traceback of each worker that is still importing its modules.
    """
    if not hasattr(signal, "pthread_sigmask"):  # on Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def leave_signals_to_parent() -> None:
    """Ignore the signals that reach all processes of a terminal or of a batch job; the parent ends its workers."""
    for number in _STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
