"""The digest of a file's content."""

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any


def file_digest(path: Path, algorithm: str | Callable[[], Any] = "blake2b", *, start: int = 0) -> str:
    """In hexadecimal digits.

    Args:
        algorithm: a name of hashlib, or a function that makes one of its hash objects.
        start: the bytes before it do not count.
    """
    with path.open("rb") as file:
        file.seek(start)
        return hashlib.file_digest(file, algorithm).hexdigest()


def known_file_digest(path: Path, algorithm: str | Callable[[], Any] = "blake2b") -> str:
    """As `file_digest`, for a file that one process asks for many times: it is read again only where it has changed."""
    state = path.stat()
    return _known(path.resolve(), algorithm, state.st_size, state.st_mtime_ns, state.st_ino)


@cache
def _known(path: Path, algorithm: str | Callable[[], Any], _size: int, _changed_ns: int, _inode: int) -> str:
    return file_digest(path, algorithm)
