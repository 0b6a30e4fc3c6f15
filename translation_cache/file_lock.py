"""A lock between processes, which ends with its process, whatever ends it."""

import contextlib
import errno
import logging
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

log = logging.getLogger("translation_cache")

_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP)  # where it has no calls for locks, filelock takes a file


@contextlib.contextmanager
def exclusive_lock(path: Path, *, wait_s: float) -> Iterator[bool]:
    """Hold the lock at `path`; False if another holder keeps it for `wait_s` seconds (-1: wait without limit).

    Its file stays, so that all processes lock the same file. A file system without locks gives True and a warning.

    Raises:
        OSError: the file cannot be created, or is a symbolic link.
    """
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=wait_s, poll_interval=0.2)
    except Timeout:
        yield False
        return
    except (OSError, NotImplementedError) as error:  # filelock raises the latter before the versions that take a file
        if isinstance(error, OSError) and error.errno not in _NO_LOCKS:
            raise
        log.warning("%s: the file system has no locks; run one process at a time in this folder", path)
        yield True
        return
    try:
        yield True
    finally:
        lock.release()
