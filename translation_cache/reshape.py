"""Put a cache into another shape: fewer files, several caches in one, one file for elsewhere."""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from translation_cache.audit import readable
from translation_cache.errors import CacheError
from translation_cache.shard import SCHEMA
from translation_cache.store import Cache

_EXPORTED = pa.schema(
    {
        "source": pa.string(),
        "sample": pa.int32(),
        "paraphrase": pa.string(),
        "pivot": pa.string(),
        "status": pa.string(),
        "method": pa.string(),
    }
)
_CHUNK = 10_000  # rows written at once


def compact(cache: Cache) -> dict[str, int]:
    """One file for each settings, each key once. The new file is on disk before an old one goes: a kill loses nothing.

    Returns:
        files_before, files_after, rows. Memory grows with the rows of the largest settings.
    """
    before = after = rows = 0
    for mark, settings in cache.settings().items():
        old = cache.shards(mark)
        kept = sorted(cache.rows(mark), key=lambda row: row["key"])
        before, rows = before + len(old), rows + len(kept)
        if not kept:
            continue
        new = cache.write(settings, pa.Table.from_pylist(kept, schema=SCHEMA))
        for path in old:
            if path != new:
                path.unlink(missing_ok=True)
        after += 1
    return {"files_before": before, "files_after": after, "rows": rows}


def merge(into: Cache, *others: Cache) -> dict[str, int]:
    """Add the rows of other caches, file by file; the others stay as they are.

    Returns:
        files (that were not there before), rows (in these).
    """
    files = rows = 0
    for other in others:
        for mark, settings in other.settings().items():
            present = {path.name for path in into.shards(mark)}
            for table in other.tables(mark):
                path = into.write(settings, table)
                if path.name not in present:
                    files, rows = files + 1, rows + len(table)
    return {"files": files, "rows": rows}


def export(cache: Cache, out: str | Path) -> dict[str, int]:
    """Write all rows to one .jsonl or .parquet file: source, sample, paraphrase, pivot, status, method.

    Returns:
        rows.
    Raises:
        CacheError: the name ends otherwise.
    """
    out = Path(out)
    if out.suffix not in (".jsonl", ".parquet"):
        raise CacheError(f"cannot export to {out.name!r}; give it a name that ends in .jsonl or .parquet")
    with _whole(out) as aside:
        write = _write_jsonl if out.suffix == ".jsonl" else _write_parquet
        return {"rows": write(aside, _readable_rows(cache))}


def _readable_rows(cache: Cache) -> Iterator[dict[str, Any]]:
    for mark, settings in cache.settings().items():
        for row in cache.rows(mark):
            record = readable(row, settings)
            yield {name: record[name] for name in _EXPORTED.names}


def _write_jsonl(path: Path, rows: Iterator[dict[str, Any]]) -> int:
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    return count


def _write_parquet(path: Path, rows: Iterator[dict[str, Any]]) -> int:
    count = 0
    with pq.ParquetWriter(path, _EXPORTED, compression="zstd") as writer:
        while chunk := list(islice(rows, _CHUNK)):
            writer.write_table(pa.Table.from_pylist(chunk, schema=_EXPORTED))
            count += len(chunk)
    return count


@contextlib.contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """A file to write aside, which takes its place when the block ends well."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        yield Path(name)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
