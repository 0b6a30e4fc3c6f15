"""Folders that are made once and read for a long time, with a digest of each file, so that damage is noticed.

After a power cut or a disk error, a file can be there with the right length and hold zeros.
"""

import errno
import json
import logging
from collections.abc import Callable
from pathlib import Path

from translation_cache.atomic import make_folder, set_aside, whole_folder
from translation_cache.file_digest import file_digest
from translation_cache.file_lock import exclusive_lock

DIGESTS = "digests.json"
"""The file with the digests of the others."""

_DIGITS = 32  # of a digest

_UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)

log = logging.getLogger("translation_cache")


def load_or_make(folder: Path, make: Callable[[Path], None]) -> None:
    """Make the folder if it is absent. One that is damaged is set aside and made again, with a warning.

    A folder without digests, as earlier versions left it, is made again too; where this process may not write, it is
    read as it is, with a warning. One of several processes makes the folder while the others wait.

    Args:
        make: fills the folder whose path it gets.
    """
    if folder.is_dir() and _fault(folder) is None:
        return
    try:
        _make(folder, make)
    except OSError as error:
        if error.errno not in _UNWRITABLE or not folder.is_dir() or (folder / DIGESTS).exists():
            raise
        log.warning(
            "%s is of an earlier version, which kept no digests, and cannot be made again (%s): its files are read "
            "without a check",
            folder,
            error.strerror,
        )


def _make(folder: Path, make: Callable[[Path], None]) -> None:
    make_folder(folder.parent)
    with exclusive_lock(folder.parent / ".lock", wait_s=-1):
        if folder.is_dir():
            fault = _fault(folder)
            if fault is None:
                return
            if (folder / DIGESTS).exists():
                aside = set_aside(folder, f"{folder.name}.damaged")
                log.warning("%s is damaged (%s): it is kept as %s and made again", folder, fault, aside)
        with whole_folder(folder, replace=True) as unfinished:
            make(unfinished)
            digests = {
                path.relative_to(unfinished).as_posix(): file_digest(path)[:_DIGITS] for path in _files(unfinished)
            }
            (unfinished / DIGESTS).write_text(json.dumps(digests, indent=1) + "\n", "ascii")


def _fault(folder: Path) -> str | None:
    """The first file that is not what was written; None if there is none."""
    try:
        digests = dict(json.loads((folder / DIGESTS).read_bytes()))
    except (OSError, ValueError, TypeError):
        return f"{DIGESTS} cannot be read"
    for name, digest in digests.items():
        try:
            if file_digest(folder / name)[:_DIGITS] != digest:
                return f"the content of {name} has changed"
        except OSError as error:
            return f"{name}: {error.strerror}"
    return None


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
