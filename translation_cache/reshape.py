"""Merge caches; export a cache to one file."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from translation_cache.atomic import whole_file
from translation_cache.errors import CacheError
from translation_cache.scan import unique_rows
from translation_cache.shard import row_count
from translation_cache.store import Cache

EXPORTED = pa.schema(
    {
        "source": pa.string(),
        "sample": pa.int32(),
        "paraphrase": pa.string(),
        "pivot": pa.string(),
        "status": pa.string(),
        "method": pa.string(),
    }
)


def merge(into: Cache, *others: Cache) -> dict[str, int]:
    """Copy the shards of other caches into this one.

    Returns:
        files (shards that were copied), rows (in these shards).
    """
    files = rows = 0
    known = into.settings()
    for other in others:
        for fingerprint, settings in other.settings().items():
            present = {file.name for file in into.shards(fingerprint)}
            for name, content in other.contents(fingerprint):
                if name not in present or not into.is_sound(fingerprint, name):
                    into.put(fingerprint, name, content, settings or known.get(fingerprint))
                    files, rows = files + 1, rows + row_count(content)
            into.make_durable(fingerprint)
    return {"files": files, "rows": rows}


def export(cache: Cache, out: str | Path, *, restatus: Callable[[pa.Table], pa.Array] | None = None) -> dict[str, int]:
    """Write each row once to one file: source, sample, paraphrase, pivot, status, method.

    Args:
        out: .csv, .tsv, .jsonl, .parquet, or .arrow, which `datasets.Dataset.from_file` memory-maps. In .csv and .tsv a
            missing paraphrase or pivot is an empty field without quotes. A text that starts with =, +, - or @ stays as
            it is, for programs that read it byte for byte; a spreadsheet can take it for a formula.
        restatus: from a table with the columns of the file to the status of each row; None keeps those of the cache.
    Returns:
        rows.
    Raises:
        CacheError: the file name has another suffix.
    """
    out = Path(out)
    check_suffix(out)
    with whole_file(out) as unfinished:
        return {"rows": _WRITERS[out.suffix.lower()](unfinished, _readable_tables(cache, restatus))}


def check_suffix(out: Path) -> None:
    """Raises CacheError if no file of this name can be exported to."""
    if out.suffix.lower() not in _WRITERS:
        *others, last = _WRITERS
        raise CacheError(f"cannot export to {out.name!r}; use a name that ends in {', '.join(others)} or {last}")


def _readable_tables(cache: Cache, restatus: Callable[[pa.Table], pa.Array] | None) -> Iterator[pa.Table]:
    columns = [name for name in EXPORTED.names if name != "method"]
    for fingerprint, settings in cache.settings().items():
        method = settings.get("method")
        for _, table in unique_rows(cache, fingerprint, columns):
            table = table.append_column("method", pa.array([method] * len(table), pa.string())).select(EXPORTED.names)
            if restatus is not None:
                table = table.set_column(EXPORTED.names.index("status"), "status", restatus(table))
            yield table


def _write_jsonl(path: Path, tables: Iterator[pa.Table]) -> int:
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for table in tables:
            for batch in table.to_batches(max_chunksize=10_000):
                file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in batch.to_pylist())
            count += len(table)
    return count


def _write_delimited(path: Path, tables: Iterator[pa.Table], delimiter: str) -> int:
    with pa_csv.CSVWriter(path, EXPORTED, write_options=pa_csv.WriteOptions(delimiter=delimiter)) as writer:
        return _write_all(writer, tables)


def _write_parquet(path: Path, tables: Iterator[pa.Table]) -> int:
    with pq.ParquetWriter(path, EXPORTED, compression="zstd") as writer:
        return _write_all(writer, tables)


def _write_arrow(path: Path, tables: Iterator[pa.Table]) -> int:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, EXPORTED) as writer:
        return _write_all(writer, tables)


def _write_all(writer: Any, tables: Iterator[pa.Table]) -> int:
    count = 0
    for table in tables:
        writer.write_table(table.cast(EXPORTED))
        count += len(table)
    return count


_WRITERS: dict[str, Callable[[Path, Iterator[pa.Table]], int]] = {
    ".csv": partial(_write_delimited, delimiter=","),
    ".tsv": partial(_write_delimited, delimiter="\t"),
    ".jsonl": _write_jsonl,
    ".parquet": _write_parquet,
    ".arrow": _write_arrow,
}
