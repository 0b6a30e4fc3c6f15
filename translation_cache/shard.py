"""One immutable Parquet file of rows, named by the digest of its bytes."""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from translation_cache.errors import CacheError
from translation_cache.job import OK, Paraphrase
from translation_cache.key import KEY_BYTES, content_digest, row_key

SCHEMA = pa.schema(
    [
        pa.field("key", pa.binary(KEY_BYTES), nullable=False),  # row_key(settings, source, sample)
        pa.field("settings", pa.string(), nullable=False),  # the fingerprint
        pa.field("source", pa.string(), nullable=False),
        pa.field("sample", pa.int32(), nullable=False),
        pa.field("paraphrase", pa.string()),
        pa.field("pivot", pa.string()),
        pa.field("status", pa.string(), nullable=False),
        pa.field("scores", pa.list_(pa.struct([("name", pa.string()), ("value", pa.float64())]))),
    ]
)

Row = tuple[str, int, Paraphrase]  # source, sample, what was made of it


def to_table(fingerprint: str, rows: Iterable[Row]) -> pa.Table:
    """Rows of one fingerprint as a table, sorted by key, so that equal rows make equal files.

    Raises:
        CacheError: a text that UTF-8 has no bytes for (a lone surrogate).
    """
    records = [
        {
            "key": row_key(fingerprint, source, sample),
            "settings": fingerprint,
            "source": source,
            "sample": sample,
            "paraphrase": made.text,
            "pivot": made.pivot,
            "status": made.status,
            "scores": [{"name": name, "value": float(value)} for name, value in sorted(made.scores.items())],
        }
        for source, sample, made in rows
    ]
    try:
        return pa.Table.from_pylist(sorted(records, key=lambda record: record["key"]), schema=SCHEMA)
    except UnicodeEncodeError as error:
        raise CacheError(
            f"a text holds half a surrogate pair, which no file can hold ({error.object!r:.80}); decode it first"
        ) from error


def to_paraphrase(record: dict[str, Any]) -> Paraphrase:
    scores = {score["name"]: score["value"] for score in record["scores"] or ()}
    return Paraphrase(record["paraphrase"], record["status"], record["pivot"], scores)


def rank(record: dict[str, Any]) -> tuple:
    """Which of two rows with one key is read: the least. It depends on their content alone, and ok comes first."""
    scores = tuple((score["name"], score["value"]) for score in record["scores"] or ())
    return (record["status"] != OK, record["status"], record["paraphrase"] or "", record["pivot"] or "", scores)


def write_shard(folder: Path, table: pa.Table) -> Path:
    """Write a table as folder/<digest>.parquet: whole or not at all, and on disk when this returns.

    Raises:
        CacheError: the disk is full.
    """
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", store_schema=False)
    content = memoryview(sink.getvalue())
    path = folder / f"{content_digest(content)}.parquet"
    if not path.exists():
        write_file(path, content)
    return path


def write_file(path: Path, content: bytes | memoryview) -> None:
    """Write aside, sync, rename, sync the folder; its parents are made."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # a temporary file is its owner's alone; a cache may be shared
        os.replace(temporary, path)
        temporary = None
        _sync_folder(path.parent)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise CacheError(
                f"the disk that holds {path.parent} is full; free some space and give the same command again: "
                "all that was written before is kept"
            ) from error
        raise CacheError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_shard(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of a file, after a look at its digest: what was changed or cut short is never read as data.

    Raises:
        FileNotFoundError: another process compacted it away.
        CacheError: it is damaged, or is not one of ours.
    """
    content = path.read_bytes()
    reason = None
    if content_digest(content) != path.stem:
        reason = "its content is not what its name says"
    else:
        with pq.ParquetFile(pa.BufferReader(content)) as file:
            if file.schema_arrow.equals(SCHEMA):
                return file.read(columns=list(columns) if columns else None)
        reason = "its columns are not those of this cache"
    raise CacheError(
        f"{path} is damaged: {reason}. `cache verify {path.parents[1]}` names every such file; "
        "move them away and paraphrase again, which makes only what is missing"
    )
