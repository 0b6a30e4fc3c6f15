"""Storage of the files of a cache: a local folder (or a network file system), or an object store.

Both guarantee the same: a completed `write` is durable; an interrupted one leaves the whole file or nothing.
"""

import contextlib
import errno
import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Protocol
from urllib.parse import parse_qs, urlsplit

import pyarrow as pa
from pyarrow import fs

from translation_cache.atomic import make_folder, remove_leftovers, sync, unfinished_name, write_whole
from translation_cache.credentials import misplaced_secret, missing_credentials, without_secrets
from translation_cache.errors import CacheError, DamagedError
from translation_cache.file_lock import exclusive_lock

_TIMEOUT_S = 20  # of a connection to an object store and of one request
_GOOGLE_RETRIES_S = 10  # of a request
_ATTEMPTS = 4  # of a request, with growing delays
_ABANDONED_S = 24 * 3600  # age of an unfinished file whose writer no longer runs


class File(NamedTuple):
    name: str
    bytes: int
    is_folder: bool


class Storage(Protocol):
    """A tree of files below a root; paths are relative to it, with `/`. Failures are CacheErrors, except those that a
    method names."""

    @property
    def root(self) -> str:
        """The root for messages, without secrets."""
        ...

    @property
    def folder(self) -> Path | None:
        """The root where it is a folder of this machine; None on an object store."""
        ...

    def at(self, path: str) -> str:
        """A path below the root, for messages."""
        ...

    @property
    def address(self) -> str:
        """The root for another process, independent of its working directory; it can hold a secret."""
        ...

    def files(self, folder: str = "") -> list[File]:
        """The entries of a folder sorted by name, without hidden files; [] where the folder does not exist."""
        ...

    def read(self, path: str) -> bytes:
        """Raises FileNotFoundError where the file does not exist."""
        ...

    def write(self, path: str, content: bytes | memoryview) -> None:
        """Write the file whole or not at all; durable on return. Missing folders are created."""
        ...

    def make_durable(self, folder: str) -> None:
        """Make the files that a folder shows durable: a killed writer may have left one that is not yet."""
        ...

    def remove(self, path: str) -> None:
        """Remove the file, if it exists."""
        ...

    def move(self, path: str, to: str) -> None:
        """Move the file, if it exists; durable on return. Missing folders are created."""
        ...

    def lock(self, name: str) -> contextlib.AbstractContextManager[bool]:
        """True for one process at a time, False for others, to avoid duplicate work; duplicates would be harmless."""
        ...


def open_storage(location: str | os.PathLike[str]) -> Storage:
    """Open a folder, or a URI that Arrow supports (s3://, gs://, abfs://, fsspec+...://).

    The URI selects an S3-compatible store: s3://bucket/folder?endpoint_override=http://host:9000&region=eu-1. The
    credentials come from the environment (AWS_ACCESS_KEY_ID, ...) or ~/.aws.

    Raises:
        CacheError: the kind of store is unknown, it has no credentials, or the location is a file.
    """
    text = os.fspath(location)
    if "://" not in text:
        return LocalStorage(Path(text))
    try:
        options = _s3_options(text)
        if (advice := misplaced_secret(text) or missing_credentials(text)) is not None:
            raise CacheError(f"cannot open {text}: {advice}")
        filesystem, root = fs.FileSystem.from_uri(_limited(text)) if options is None else _open_s3(text, options)
    except (ValueError, OSError, ImportError, pa.ArrowException) as error:
        reason = _first_sentence(error)
        raise CacheError(f"cannot open {text}: {reason}; name a folder, or s3://bucket/folder") from error
    if isinstance(filesystem, fs.LocalFileSystem):
        return LocalStorage(Path(root))
    return ObjectStorage(filesystem, root, text)


def _limited(uri: str) -> str:
    """The URI of a Google store with a limit on its retries, which is 15 minutes by default."""
    if not uri.startswith(("gs://", "gcs://")) or "retry_limit_seconds=" in uri:
        return uri
    return f"{uri}{'&' if '?' in uri else '?'}retry_limit_seconds={_GOOGLE_RETRIES_S}"


def _s3_options(uri: str) -> dict[str, str] | None:
    """The options of an S3 URI; None for another store. Raises ValueError."""
    parts = urlsplit(uri)
    if parts.scheme != "s3":
        return None
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    if unknown := options.keys() - {"endpoint_override", "scheme", "region"}:
        raise ValueError(f"unknown option {min(unknown)}")
    if not parts.netloc:
        raise ValueError("the bucket is missing")
    return options


def _open_s3(uri: str, options: Mapping[str, str]) -> tuple[fs.FileSystem, str]:
    """As Arrow opens the URI, but with timeouts for a store that does not respond."""
    parts = urlsplit(uri)
    endpoint = options.get("endpoint_override") or os.environ.get("AWS_ENDPOINT_URL")
    scheme = options.get("scheme", "http" if (endpoint or "").startswith("http://") else "https")
    region = options.get("region") or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    filesystem = fs.S3FileSystem(
        endpoint_override=endpoint.partition("://")[2] or endpoint if endpoint else None,
        scheme=scheme,
        region=region,
        connect_timeout=_TIMEOUT_S,
        request_timeout=_TIMEOUT_S,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS),
        allow_delayed_open=True,  # one request for a small file
    )
    return filesystem, (parts.netloc + parts.path).rstrip("/")


# --- a folder ---------------------------------------------------------------------------------------------------------


class LocalStorage:
    """A folder, written through `atomic`."""

    def __init__(self, root: Path) -> None:
        if root.exists() and not root.is_dir():
            raise CacheError(f"{root} is a file; name a folder for the cache")
        if root.is_symlink() and not root.exists():
            raise CacheError(f"{root} is a symbolic link to nothing; name a folder for the cache")
        self._root = root
        self._synced: set[Path] = set()

    @property
    def root(self) -> str:
        return str(self._root)

    @property
    def address(self) -> str:
        return str(self._root.absolute())

    @property
    def folder(self) -> Path | None:
        return self._root

    def at(self, path: str) -> str:
        return str(self._root / path)

    def files(self, folder: str = "") -> list[File]:
        files = []
        with (
            _explained(f"cannot read {self._root / folder}"),
            contextlib.suppress(FileNotFoundError, NotADirectoryError),
            os.scandir(self._root / folder) as entries,
        ):
            for entry in entries:
                if not entry.name.startswith("."):
                    files.append(File(entry.name, _size(entry), entry.is_dir()))
        return sorted(files)

    def read(self, path: str) -> bytes:
        with _explained(f"cannot read {self._root / path}", missing=True):
            try:
                return (self._root / path).read_bytes()
            except OSError as error:
                if error.errno == errno.ESTALE:  # how a network file system reports a removed file
                    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from error
                if error.errno in (errno.EIO, errno.EISDIR):
                    raise DamagedError(f"it cannot be read ({error.strerror})") from error
                raise

    def write(self, path: str, content: bytes | memoryview) -> None:
        target = self._root / path
        with _explained(f"cannot write {target}"):
            self._make_durable(target.parent)
            write_whole(target, content)

    def make_durable(self, folder: str) -> None:
        path = self._root / folder
        # Of a folder that this user may not open, the writer was another one.
        with _explained(f"cannot sync {path}"), contextlib.suppress(PermissionError, FileNotFoundError):
            sync(path)
            self._make_durable(path)

    def _make_durable(self, folder: Path) -> None:
        """Sync the entry of the folder in its parent: another process may have created it without syncing it yet."""
        if folder not in self._synced or not folder.is_dir():
            make_folder(folder)
            for path in (folder, self._root):
                if path.parent.is_dir():
                    sync(path.parent)
            self._synced.add(folder)

    def remove(self, path: str) -> None:
        with _explained(f"cannot remove {self._root / path}"):
            (self._root / path).unlink(missing_ok=True)

    def move(self, path: str, to: str) -> None:
        source, target = self._root / path, self._root / to
        with _explained(f"cannot move {source}"):
            make_folder(target.parent)
            with contextlib.suppress(FileNotFoundError):
                os.replace(source, target)
                sync(target.parent)
                sync(source.parent)

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[bool]:
        """A lock that ends with its process. The holder removes unfinished files of writers that no longer run."""
        with contextlib.ExitStack() as stack:
            try:
                locked = stack.enter_context(exclusive_lock(self._root / name / ".lock", wait_s=0))
            except OSError:  # the folder is read-only
                locked = False
            if locked:
                remove_leftovers(self._root / name, older_than_s=_ABANDONED_S)
            yield locked


# --- an object store --------------------------------------------------------------------------------------------------


class ObjectStorage:
    """An object is put whole or not at all. Arrow retries a put that fails, then raises."""

    def __init__(self, filesystem: fs.FileSystem, root: str, uri: str) -> None:
        self._fs, self._base, self._uri = filesystem, PurePosixPath(root), uri

    @property
    def root(self) -> str:
        return without_secrets(self._uri)

    @property
    def address(self) -> str:
        return self._uri

    @property
    def folder(self) -> Path | None:
        return None

    def at(self, path: str) -> str:
        uri, question, query = self.root.partition("?")
        return f"{uri.rstrip('/')}/{path}{question}{query}"

    def files(self, folder: str = "") -> list[File]:
        with _explained(f"cannot read {self.root}"):
            entries = self._fs.get_file_info(fs.FileSelector(str(self._base / folder), allow_not_found=True))
        return sorted(
            File(entry.base_name, entry.size or 0, entry.type == fs.FileType.Directory)
            for entry in entries
            if not entry.base_name.startswith(".")
        )

    def read(self, path: str) -> bytes:
        with (
            _explained(f"cannot read {self.at(path)}", missing=True),
        ):
            try:
                with self._fs.open_input_stream(str(self._base / path)) as stream:
                    return stream.read()
            except OSError as error:  # stores report a removed file in different ways
                if self._fs.get_file_info(str(self._base / path)).type != fs.FileType.NotFound:
                    raise
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from error

    def write(self, path: str, content: bytes | memoryview) -> None:
        target = self._base / path
        puts_whole = self._fs.type_name in ("s3", "gcs", "abfs")
        written = target if puts_whole else target.with_name(unfinished_name(target.name))
        with _explained(f"cannot write {self.at(path)}"):
            if not puts_whole:  # hdfs, or a file system of fsspec: has folders, and a write is not atomic
                self._fs.create_dir(str(target.parent), recursive=True)
            for _ in range(_ATTEMPTS):
                with self._fs.open_output_stream(str(written)) as stream:
                    stream.write(content)
                info = self._fs.get_file_info(str(written))
                if info.type != fs.FileType.NotFound:  # else compacted away since: it may be written again
                    break
            if info.type == fs.FileType.NotFound or info.size != len(content):
                raise OSError(errno.EIO, f"{info.size or 0} of {len(content)} bytes arrived")
            if not puts_whole:
                self._fs.move(str(written), str(target))

    def make_durable(self, folder: str) -> None:
        del folder  # an object is durable when it is seen

    def remove(self, path: str) -> None:
        with _explained(f"cannot remove {self.at(path)}"), contextlib.suppress(FileNotFoundError):
            self._fs.delete_file(str(self._base / path))

    def move(self, path: str, to: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self.write(to, self.read(path))
            self.remove(path)

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[bool]:
        del name
        yield True  # object stores have no locks; duplicate work is correct


@contextlib.contextmanager
def _explained(failure: str, *, missing: bool = False) -> Iterator[None]:
    """Raise an OSError of the block, or another error of Arrow, as a CacheError that says what to do.

    Args:
        missing: let FileNotFoundError pass.
    """
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        if missing and isinstance(error, FileNotFoundError):
            raise
        number = getattr(error, "errno", None)
        reason = getattr(error, "strerror", None) or _first_sentence(error)
        if number in (errno.ENOSPC, errno.EDQUOT):
            remedy = "the disk is full; free some space"
        elif number in (errno.EACCES, errno.EPERM, errno.EROFS):
            remedy = f"{reason}; get write permission, or name another folder"
        else:
            remedy = f"{reason}; make sure that it is reachable"
        raise CacheError(f"{failure}: {remedy} and rerun the command: completed writes are kept") from error


def _size(entry: os.DirEntry[str]) -> int:
    """0 for a file that is gone since the folder was read. It stays in the listing: who reads it then lists again."""
    try:
        return entry.stat().st_size
    except FileNotFoundError:
        return 0


def _first_sentence(error: Exception) -> str:
    """The reason of an error of a store, whose libraries add advice for programmers."""
    reason = " ".join(str(error).split())
    if "DefaultAzureCredential" in reason:
        return "Azure takes none of the credentials of this machine: run `az login`"
    return reason.partition(" See ")[0]
