"""A failure as one line and an exit code: 2 for wrong usage or input, 1 for another failure, 130 if interrupted.

Ctrl-C, SIGTERM (a batch system, a shutdown) and SIGHUP (a closed terminal) all interrupt.
"""

import _thread
import errno
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import click

from text_uda.cli.familiar_names import nearest
from text_uda.cli.output import printable
from text_uda.errors import OtherRunError, UserError

FAILED, USAGE, INTERRUPTED = 1, 2, 130

_NO_PERMISSION = (errno.EACCES, errno.EPERM, errno.EROFS)
_OF_THE_DISK = (*_NO_PERMISSION, errno.EIO, errno.ESTALE)


@dataclass
class Invocation:
    """The state of one call of the command."""

    debug: bool = False


class Interrupted(Exception):
    """Ctrl-C inside a long step; the message says what is kept."""


@contextmanager
def signals_interrupt() -> Iterator[None]:
    """In this block SIGTERM and SIGHUP do what Ctrl-C does, so that finished work is kept.

    Only the first one does: `timeout` and batch systems send several, and what is finished is being written. A signal
    that is ignored (`nohup`) stays ignored. A signal in an import is sent again after it, but not after the block:
    an import can lose the exception, as Arrow's import of pandas from C++ does.
    """
    initial = {"SIGINT": signal.default_int_handler, "SIGTERM": signal.SIG_DFL, "SIGHUP": signal.SIG_DFL}
    before = {getattr(signal, name): handler for name, handler in initial.items() if hasattr(signal, name)}
    before = {number: handler for number, handler in before.items() if signal.getsignal(number) is handler}
    if threading.current_thread() is not threading.main_thread():
        before = {}
    outside = sys._getframe(2)  # of the `with` statement: the program may run inside of an import itself
    pending: set[int] = set()  # to be sent again, each by one thread
    sending = threading.Lock()
    is_open = True

    def interrupt(number: int, frame: FrameType | None) -> None:
        if not is_open:  # sent as the block ended
            return
        if _imports(frame, outside):
            if number not in pending:
                pending.add(number)
                # threading.Thread takes locks, which this thread may hold
                _thread.start_new_thread(_send_again, (number, pending, sending))
            return
        pending.clear()  # one interruption is for all of them
        for other in before.keys() - {signal.SIGINT}:
            signal.signal(other, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in before:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        is_open = False
        with sending:  # no thread is between its look at `pending` and its signal
            pending.clear()
        for number, handler in before.items():
            signal.signal(number, handler)


def _imports(frame: FrameType | None, outside: FrameType) -> bool:
    """Whether the code of a frame runs in an import that began inside of `outside`."""
    while frame is not None and frame is not outside:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def _send_again(number: int, pending: set[int], sending: threading.Lock) -> None:
    time.sleep(0.02)
    with sending:
        if number not in pending:  # the block was interrupted, or has ended
            return
        pending.remove(number)
        if hasattr(signal, "pthread_kill"):  # not on Windows
            signal.pthread_kill(threading.main_thread().ident or 0, number)  # also ends a wait of the system
        else:
            _thread.interrupt_main(signal.Signals(number))


@contextmanager
def keeps(message: str | Callable[[], str]) -> Iterator[None]:
    """Turn an interruption in the block into one line: that of the step, or `message`, which says what is kept."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise Interrupted(str(error) or (message if isinstance(message, str) else message())) from error


def kept_of_run(run: Path) -> str:
    """What an interrupted training has left in its run directory, which is looked at only then."""
    from text_uda.runs.directory import REFIT

    for folder in (run / REFIT, run):
        if any((folder / "checkpoints").glob("step-*")):
            return f"the last checkpoint is kept in {folder}; rerun the same command to resume"
    if (run / "result.json").exists():
        return f"the finished run is kept in {run}; rerun the same command for what is missing"
    return "no training step is saved yet; rerun the same command to start again"


def explain(error: BaseException) -> tuple[str, int]:
    """The line for stderr, with control characters escaped, and the exit code."""
    if isinstance(error, Interrupted):
        return f"interrupted: {printable(str(error))}", INTERRUPTED
    if isinstance(error, click.Abort | KeyboardInterrupt):
        return "interrupted", INTERRUPTED
    if isinstance(error, click.UsageError):
        return f"error: {printable(_usage(error))}", USAGE
    if isinstance(error, click.ClickException):
        return f"error: {printable(error.format_message())}", USAGE
    if isinstance(error, OtherRunError):
        lines = error.with_remedy("name another folder, or start again with --no-resume").split("\n")
        return "error: " + "\n  ".join(map(printable, lines)), USAGE
    if isinstance(error, UserError) or _is_cache_error(error):
        return f"error: {printable(str(error))}", USAGE
    error = _os_error(error)
    if full := _disk_full(error):
        return f"error: {printable(_disk_words(full.filename))}", USAGE
    if isinstance(error, OSError) and error.errno in _OF_THE_DISK:
        return f"error: {printable(_access_words(error))}", USAGE
    message = printable(str(error)) or "no message"
    return f"error: {type(error).__name__}: {message} (--debug shows the traceback)", FAILED


def _usage(error: click.UsageError) -> str:
    message = " ".join(error.format_message().split())  # click lists choices in lines
    if isinstance(error, click.NoSuchOption):
        option = error.option_name
        message = f"No such option {option!r}.{nearest(option, error.possibilities or ())}"
    if error.ctx is not None:
        stop = "" if message.endswith((".", "?", ")")) else "."
        message += f"{stop} See '{error.ctx.command_path} --help'."
    return message


def _is_cache_error(error: BaseException) -> bool:
    errors = sys.modules.get("translation_cache.errors")  # if not loaded, it raised nothing
    return errors is not None and isinstance(error, errors.CacheError)


def _os_error(error: BaseException) -> BaseException:
    """The error itself, or the OSError that safetensors has put into words."""
    number = re.search(r"\(os error (\d+)\)", str(error))
    return OSError(int(number[1]), os.strerror(int(number[1]))) if number and not isinstance(error, OSError) else error


def _disk_full(error: BaseException | None) -> OSError | None:
    """The ENOSPC (or exceeded quota) that `error` is or was raised from: libraries wrap it."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None


def _disk_words(filename: str | None) -> str:
    where = f" that holds {os.fspath(filename)!r}" if filename else ""
    return f"the disk{where} is full; free some space and rerun the same command, finished work is kept"


def _access_words(error: OSError) -> str:
    file = "the disk" if error.filename is None else repr(os.fspath(error.filename))
    remedy = "get permission, or name another place" if error.errno in _NO_PERMISSION else "make sure it is reachable"
    return f"{file} cannot be read or written ({error.strerror}): {remedy}, and rerun; finished work is kept"
