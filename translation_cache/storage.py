"""Where the files of a cache lie: a folder of this machine (or a network file system), or an object store.

Both keep the same promise: what `write` returned from is there whole and stays, and what it did not return from is
there whole or not at all.
"""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Protocol
from urllib.parse import parse_qs, urlsplit

from pyarrow import fs

from translation_cache.atomic import make_folder, remove_leftovers, sync, unfinished_name, write_whole
from translation_cache.errors import CacheError, DamagedError

_TIMEOUT_S = 20  # of a connection to an object store, and of one request
_ATTEMPTS = 4  # of a request, with growing pauses between them
_ABANDONED_S = 24 * 3600  # age of a temporary file whose writer is surely gone


class File(NamedTuple):
    name: str
    bytes: int
    is_folder: bool


class Storage(Protocol):
    """A tree of files below a root; paths are relative to it, with `/`. Every failure is a CacheError, but for those
    that a method names."""

    @property
    def root(self) -> str:
        """As people write it."""
        ...

    def at(self, path: str) -> str:
        """A path below the root, as people write it."""
        ...

    @property
    def address(self) -> str:
        """The root as another process has to write it, whatever its working folder is."""
        ...

    def files(self, folder: str = "") -> list[File]:
        """What lies in a folder, by name; hidden files are left out. None where there is no such folder."""
        ...

    def read(self, path: str) -> bytes:
        """Raises FileNotFoundError where there is none."""
        ...

    def write(self, path: str, content: bytes | memoryview) -> None:
        """Whole or not at all, and durable when this returns. Folders are made."""
        ...

    def remove(self, path: str) -> None:
        """It may be gone already."""
        ...

    def move(self, path: str, to: str) -> None:
        """It may be gone already. Folders are made."""
        ...

    def alone(self, name: str) -> contextlib.AbstractContextManager[bool]:
        """True for one process at a time, False for the others: to save work that is harmless but wasted twice."""
        ...


def open_storage(location: str | os.PathLike[str]) -> Storage:
    """A folder, or a URI that Arrow opens (s3://, gs://, abfs://, fsspec+...://).

    An S3 store of your own is named in the URI: s3://bucket/folder?endpoint_override=http://host:9000&region=eu-1. Keys
    are those of the environment (AWS_ACCESS_KEY_ID, ...) or of ~/.aws.

    Raises:
        CacheError: no such kind of store, or it is a file.
    """
    text = os.fspath(location)
    if "://" not in text:
        return LocalStorage(Path(text))
    try:
        filesystem, root = _open_s3(text) if text.startswith("s3://") else fs.FileSystem.from_uri(text)
    except (ValueError, OSError, ImportError) as error:
        raise CacheError(f"cannot open {text}: {error}; name a folder, or s3://bucket/folder") from error
    if isinstance(filesystem, fs.LocalFileSystem):
        return LocalStorage(Path(root))
    return ObjectStorage(filesystem, root, text)


def _open_s3(uri: str) -> tuple[fs.FileSystem, str]:
    """As Arrow reads the URI, but with an end to waiting for a store that does not answer."""
    parts = urlsplit(uri)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    endpoint = options.pop("endpoint_override", None) or os.environ.get("AWS_ENDPOINT_URL")
    scheme = options.pop("scheme", "http" if (endpoint or "").startswith("http://") else "https")
    region = options.pop("region", None) or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if options or not parts.netloc:
        raise ValueError(f"what is {next(iter(options), 'the bucket')}?")
    filesystem = fs.S3FileSystem(
        endpoint_override=endpoint.partition("://")[2] or endpoint if endpoint else None,
        scheme=scheme,
        region=region,
        connect_timeout=_TIMEOUT_S,
        request_timeout=_TIMEOUT_S,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS),
        allow_delayed_open=True,  # one request for what is small
    )
    return filesystem, (parts.netloc + parts.path).rstrip("/")


# --- a folder ---------------------------------------------------------------------------------------------------------


class LocalStorage:
    """Write aside, sync, rename, sync the folder."""

    def __init__(self, root: Path) -> None:
        if root.exists() and not root.is_dir():
            raise CacheError(f"{root} is a file; name a folder for the cache")
        self._root = root
        self._synced: set[Path] = set()

    @property
    def root(self) -> str:
        return str(self._root)

    @property
    def address(self) -> str:
        return str(self._root.absolute())

    def at(self, path: str) -> str:
        return str(self._root / path)

    def files(self, folder: str = "") -> list[File]:
        found = []
        with (
            _told(f"cannot read {self._root / folder}"),
            contextlib.suppress(FileNotFoundError, NotADirectoryError),
            os.scandir(self._root / folder) as entries,
        ):
            for entry in entries:
                if not entry.name.startswith("."):
                    with contextlib.suppress(FileNotFoundError):  # removed while we look
                        found.append(File(entry.name, entry.stat().st_size, entry.is_dir()))
        return sorted(found)

    def read(self, path: str) -> bytes:
        with _told(f"cannot read {self._root / path}", missing=True):
            try:
                return (self._root / path).read_bytes()
            except OSError as error:
                if error.errno == errno.ESTALE:  # a network file system's word for a file that was removed
                    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from error
                if error.errno in (errno.EIO, errno.EISDIR):
                    raise DamagedError(f"it cannot be read ({error.strerror})") from error
                raise

    def write(self, path: str, content: bytes | memoryview) -> None:
        target = self._root / path
        with _told(f"cannot write {target}"):
            self._make_durable(target.parent)
            write_whole(target, content)

    def _make_durable(self, folder: Path) -> None:
        """The folder, and its entry in its parent: another process may have made it and not come to syncing it."""
        if folder not in self._synced or not folder.is_dir():
            make_folder(folder)
            for each in (folder, self._root):
                if each.parent.is_dir():
                    sync(each.parent)
            self._synced.add(folder)

    def remove(self, path: str) -> None:
        with _told(f"cannot remove {self._root / path}"):
            (self._root / path).unlink(missing_ok=True)

    def move(self, path: str, to: str) -> None:
        with _told(f"cannot move {self._root / path}"):
            make_folder((self._root / to).parent)
            with contextlib.suppress(FileNotFoundError):
                os.replace(self._root / path, self._root / to)

    @contextlib.contextmanager
    def alone(self, name: str) -> Iterator[bool]:
        """A lock that ends with its process. Temporary files of writers that are long gone are removed under it."""
        try:
            descriptor = os.open(self._root / name / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
        except OSError:  # a folder that may not be written to
            yield False
            return
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            except OSError:
                pass  # a file system without locks
            remove_leftovers(self._root / name, older_than_s=_ABANDONED_S)
            yield True
        finally:
            os.close(descriptor)


# --- an object store --------------------------------------------------------------------------------------------------


class ObjectStorage:
    """A put is whole or absent by itself. One that breaks off is tried again by Arrow, then told."""

    def __init__(self, filesystem: fs.FileSystem, root: str, uri: str) -> None:
        self._fs, self._base, self._uri = filesystem, PurePosixPath(root), uri

    @property
    def root(self) -> str:
        return self._uri

    @property
    def address(self) -> str:
        return self._uri

    def at(self, path: str) -> str:
        uri, question, query = self._uri.partition("?")
        return f"{uri.rstrip('/')}/{path}{question}{query}"

    def files(self, folder: str = "") -> list[File]:
        with _told(f"cannot read {self._uri}"):
            found = self._fs.get_file_info(fs.FileSelector(str(self._base / folder), allow_not_found=True))
        return sorted(
            File(entry.base_name, entry.size or 0, entry.type == fs.FileType.Directory)
            for entry in found
            if not entry.base_name.startswith(".")
        )

    def read(self, path: str) -> bytes:
        with (
            _told(f"cannot read {self.at(path)}", missing=True),
        ):
            try:
                with self._fs.open_input_stream(str(self._base / path)) as stream:
                    return stream.read()
            except OSError as error:  # one that is removed while it is opened has other names for that
                if self._fs.get_file_info(str(self._base / path)).type != fs.FileType.NotFound:
                    raise
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from error

    def write(self, path: str, content: bytes | memoryview) -> None:
        target = self._base / path
        puts_whole = self._fs.type_name in ("s3", "gcs", "abfs")
        aside = target if puts_whole else target.with_name(unfinished_name(target.name))
        with _told(f"cannot write {self.at(path)}"):
            if not puts_whole:  # hdfs, or what fsspec opens: write aside, and there are folders to make
                self._fs.create_dir(str(target.parent), recursive=True)
            with self._fs.open_output_stream(str(aside)) as stream:
                stream.write(content)
            if (size := self._fs.get_file_info(str(aside)).size) != len(content):
                raise OSError(errno.EIO, f"{size} of {len(content)} bytes arrived")
            if not puts_whole:
                self._fs.move(str(aside), str(target))

    def remove(self, path: str) -> None:
        with _told(f"cannot remove {self.at(path)}"), contextlib.suppress(FileNotFoundError):
            self._fs.delete_file(str(self._base / path))

    def move(self, path: str, to: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self.write(to, self.read(path))
            self.remove(path)

    @contextlib.contextmanager
    def alone(self, name: str) -> Iterator[bool]:
        del name
        yield True  # there are no locks; what two do at once is done twice, and is right


@contextlib.contextmanager
def _told(what: str, *, missing: bool = False) -> Iterator[None]:
    """An OSError inside becomes one line that says what to do; but not FileNotFoundError where files may be missing."""
    try:
        yield
    except OSError as error:
        if missing and isinstance(error, FileNotFoundError):
            raise
        reason = error.strerror or " ".join(str(error).split())
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            mend = "the disk is full; free some space"
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            mend = f"{reason}; get the right to write there, or name another folder"
        else:
            mend = f"{reason}; see to it that it can be reached"
        raise CacheError(f"{what}: {mend} and give the same command again: all that was written is kept") from error
