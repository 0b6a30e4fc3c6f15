"""Errors that the user can correct. Each message is one line that says how."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


def listed(names: Iterable[object], *, most: int = 20, letters: int = 60) -> str:
    """Names for a message: the first `most`, each cut to `letters` characters, and the number of the others."""
    names = list(names)
    words = [name if len(name) <= letters else name[:letters] + "…" for name in map(str, names[:most])]
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(words) + more or "none"


def reason_of(error: BaseException, *, letters: int = 300) -> str:
    """The first line of another error's message, for a message of ours; the name of its type where it has none.

    A first line that ends in a colon is followed by the next one.

    Libraries quote what they could not read, and that can be as long as the file.
    """
    lines = (str(error).strip() or type(error).__name__).splitlines()
    first = " ".join(line.strip() for line in lines[: 2 if lines[0].endswith(":") else 1])
    return first if len(first) <= letters else first[:letters] + "…"


class UserError(Exception):
    """The user can correct it. The command line prints the message and exits with code 2. It shows no secrets."""

    def __init__(self, message: str = "") -> None:
        from translation_cache.credentials import without_secrets  # here, since it takes long to import

        super().__init__(without_secrets(message))


class DataError(UserError):
    """A file, a row, a column or a label is invalid."""


class SettingsError(UserError):
    """Settings are out of range or contradict each other."""


class OtherRunError(SettingsError):
    """The folder of a run holds a run with other settings. One more line for each setting that differs."""

    def __init__(self, folder: Path, changes: Sequence[str]) -> None:
        self.folder, self.changes = folder, tuple(changes)
        super().__init__(self.with_remedy("pass another folder as `out`, or resume=False to start again"))

    def with_remedy(self, remedy: str) -> str:
        """The message in the words of the caller, who works in Python or on the command line."""
        return "\n".join([f"{self.folder} holds a run with other settings; {remedy}:", *self.changes])


class MissingPartError(UserError):
    """An optional program, package or data set is not installed; the message names how to get it."""


@contextmanager
def named(task: str) -> Iterator[None]:
    """A block whose errors name the task; "" for the only one, which has no name."""
    try:
        yield
    except (DataError, SettingsError) as error:
        if not task:
            raise
        kind = DataError if isinstance(error, DataError) else SettingsError
        raise kind(f"task {task!r}: {error}") from error
