"""What went wrong, as one line and an exit code: 2 for the user to mend, 1 for a failure, 130 for Ctrl-C."""

import errno
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches

import click

from text_uda.cli.output import printable
from text_uda.errors import UserError

FAILED, USAGE, INTERRUPTED = 1, 2, 130


class Interrupted(Exception):
    """Ctrl-C inside a long step; the message says what of it is kept."""


@contextmanager
def keeps(what: str) -> Iterator[None]:
    """Turn Ctrl-C inside the block into one line that says `what` is kept, unless the step says it."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise Interrupted(str(error) or what) from error


def explain(error: BaseException) -> tuple[str, int]:
    """(the one line for stderr, the exit code). The line is safe to print: control characters are escaped."""
    if isinstance(error, Interrupted):
        return f"interrupted: {printable(str(error))}", INTERRUPTED
    if isinstance(error, click.Abort | KeyboardInterrupt):
        return "interrupted", INTERRUPTED
    if isinstance(error, click.UsageError):
        return f"error: {printable(_usage(error))}", USAGE
    if isinstance(error, click.ClickException):
        return f"error: {printable(error.format_message())}", USAGE
    if isinstance(error, UserError) or _is_cache_error(error):
        return f"error: {printable(str(error))}", USAGE
    if full := _disk_full(error):
        return f"error: {printable(_disk_words(full.filename))}", USAGE
    if "(os error 28)" in str(error):  # as safetensors says it
        return f"error: {printable(_disk_words(None))}", USAGE
    what = printable(str(error)) or "no message"
    return f"error: {type(error).__name__}: {what} (--debug shows the traceback)", FAILED


def _usage(error: click.UsageError) -> str:
    message = error.format_message().rstrip()
    if isinstance(error, click.NoSuchOption):
        option = error.option_name
        message = f"No such option {option!r}.{nearest(option, error.possibilities or ())}"
    if error.ctx is not None:
        stop = "" if message.endswith((".", "?", ")")) else "."
        message += f"{stop} See '{error.ctx.command_path} --help'."
    return message


def nearest(word: str, words: Iterable[str]) -> str:
    """\" Did you mean ...?" with the one of `words` that is most like `word`, or nothing where none is."""
    near = get_close_matches(word, words, n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def _is_cache_error(error: BaseException) -> bool:
    errors = sys.modules.get("translation_cache.errors")  # not loaded: then nothing of it was raised
    return errors is not None and isinstance(error, errors.CacheError)


def _disk_full(error: BaseException | None) -> OSError | None:
    """The ENOSPC (or exceeded quota) that `error` is or came from: libraries like to wrap it."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None


def _disk_words(filename: str | None) -> str:
    where = f" that holds {os.fspath(filename)!r}" if filename else ""
    return f"the disk{where} is full; free some space and give the same command again, what is done is kept"
