"""Files and folders that appear whole or not at all: the only module that renames what it has written.

The content is written beside its target under a name that begins with `PREFIX`, then synced, then renamed; then the
folder of the target is synced. A completed write is durable. An exception leaves nothing; a kill leaves at most an
entry that `remove_leftovers` removes. Permissions follow the umask.
"""

import contextlib
import errno
import glob
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

PREFIX = ".unfinished-"  # hidden, so that no reader takes an unfinished entry for a finished one
REPLACED = ".replaced-"  # the earlier folder while a new one takes its place
_DAY_S = 24 * 3600.0
_WINDOWS = os.name == "nt"


def unfinished_name(name: str) -> str:
    """A new hidden name to write an entry under until it is finished. It does not end with the suffix of `name`."""
    return f"{PREFIX}{name}.{secrets.token_hex(6)}"


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """The path of an empty file to write in this block; at its end the file replaces `path`."""
    make_folder(path.parent)
    remove_leftovers(path.parent, of=path.name, older_than_s=_DAY_S)
    unfinished = path.parent / unfinished_name(path.name)
    try:
        os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        permissions = unfinished.stat().st_mode
        yield unfinished
        _set_permissions(unfinished, permissions)
        sync(unfinished)
        os.replace(unfinished, path)
    except BaseException as error:
        _name_target(error, unfinished, path)
        with contextlib.suppress(OSError):  # the error that is raised matters more
            unfinished.unlink(missing_ok=True)
        raise
    sync(path.parent)


@contextlib.contextmanager
def whole_folder(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """The path of an empty folder to fill in this block; at its end the folder is renamed to `path`.

    Args:
        replace: whether a folder that is already there is replaced. If not, it stays and the new one is dropped: then
            another process has written the same content first.
    """
    make_folder(path.parent)
    remove_leftovers(path.parent, of=path.name, older_than_s=_DAY_S)
    unfinished = path.parent / unfinished_name(path.name)
    try:
        unfinished.mkdir()
        permissions = unfinished.stat().st_mode
        yield unfinished
        for entry in unfinished.rglob("*"):
            if entry.is_file():
                _set_permissions(entry, permissions & 0o666)
            sync(entry)
        sync(unfinished)
        if replace and path.exists():
            _replace_folder(path, unfinished)
        else:
            try:
                os.rename(unfinished, path)
            except OSError:
                if not path.is_dir():
                    raise
                shutil.rmtree(unfinished)
    except BaseException as error:
        _name_target(error, unfinished, path)
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    sync(path.parent)


def write_whole(path: Path, content: str | bytes | memoryview) -> None:
    """Write a file; text is written in UTF-8."""
    with whole_file(path) as unfinished:
        unfinished.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


def remove_leftovers(folder: Path, *, of: str | None = None, older_than_s: float | None = None) -> None:
    """Remove the unfinished entries that killed processes left in a folder, and put back a folder that was replaced by
    none.

    Args:
        of: the name of an entry; None for the unfinished entries of any name.
        older_than_s: leave younger ones, which another process may be writing; None removes all.
    """
    name = "*" if of is None else glob.escape(of)
    for path in folder.glob(f"{REPLACED}{name}"):
        with contextlib.suppress(OSError):
            target = folder / path.name.removeprefix(REPLACED)
            if target.exists():
                sync(folder)  # see `_replace_folder`
                shutil.rmtree(path)
            else:
                path.rename(target)
    for path in folder.glob(f"{PREFIX}*" if of is None else f"{PREFIX}{name}.*"):
        with contextlib.suppress(OSError):  # another process may remove it too
            if older_than_s is None or time.time() - path.stat().st_mtime > older_than_s:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def make_folder(path: Path) -> None:
    """Make a folder and its missing parents durable."""
    if not path.is_dir():
        if path.is_symlink():
            raise NotADirectoryError(errno.ENOTDIR, "it is a symbolic link to nothing, or to a file", os.fspath(path))
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
        sync(path.parent)


def set_aside(path: Path, name: str) -> Path:
    """Rename an entry that is damaged to `name` in its folder, where an earlier one of that name is replaced."""
    target = path.parent / name
    if target.is_dir():
        shutil.rmtree(target)
    os.replace(path, target)
    sync(path.parent)
    return target


def sync(path: Path) -> None:
    """Make the content of a file, or the entries of a folder, durable."""
    if _WINDOWS and path.is_dir():
        return  # a folder cannot be synced there
    descriptor = os.open(path, os.O_RDWR if _WINDOWS else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system that cannot sync folders
            if error.errno is not None:
                error.filename = os.fspath(path)
            raise
    finally:
        os.close(descriptor)


def _name_target(error: BaseException, unfinished: Path, path: Path) -> None:
    """Let the error name the file that was to be written, not the unfinished one, which is removed. A full disk, which
    a write reports without a name, is the one of that file.
    """
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT) and error.filename is None:
        error.filename = str(path)
    if isinstance(error, OSError) and isinstance(error.filename, str | os.PathLike):
        name = os.fspath(error.filename)
        if name == str(unfinished) or name.startswith(f"{unfinished}{os.sep}"):
            error.filename = str(path) + name.removeprefix(str(unfinished))
            del error.filename2  # the target of a rename


def _set_permissions(path: Path, permissions: int) -> None:
    """Some libraries replace the file by one that only its owner may read (safetensors)."""
    if path.stat().st_mode & 0o777 != permissions & 0o777:
        with contextlib.suppress(PermissionError):  # FAT and some network shares have the permissions of their mount
            path.chmod(permissions & 0o777)


def _replace_folder(path: Path, by: Path) -> None:
    """A kill between the two renames leaves the earlier folder under another name; `remove_leftovers` puts it back."""
    old = path.parent / f"{REPLACED}{path.name}"
    os.rename(path, old)
    try:
        os.rename(by, path)
    except BaseException:
        os.rename(old, path)
        raise
    sync(path.parent)  # else a power cut may undo the renames and not the removal
    shutil.rmtree(old)
