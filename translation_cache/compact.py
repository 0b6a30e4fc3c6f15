"""Compaction: few large shards for many small ones, each key once; whatever moment it is killed at, no row is lost.

The rows are dealt out by key to parts that are small enough for memory, on disk; then one part after the other is put
in order, and shards are cut from that order. Only when all of these are durable do the old ones go. Two at work at
once, and writers and readers beside them, do no harm: what one removes is in shards that were written before.
"""

import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from translation_cache.errors import DamagedError
from translation_cache.shard import SCHEMA, keys_of, once
from translation_cache.store import Cache

SHARD_BYTES = 96 << 20  # of text in a full shard; its file has about a third of that
SMALL_BYTES = 4 << 20  # of a file that is worth putting together with others
MANY = 32  # small files that are too many
_PART_BYTES = 16 << 20  # of files that are dealt out to one part
_MOST_PARTS = 512  # files open at once


def compact(cache: Cache) -> dict[str, int]:
    """As few shards as can be for each settings, each key once; the same rows make the same shards.

    Returns:
        files_before, files_after, rows. Time is linear in the rows, memory that of a few shards (up to 8 GB of files;
        a 500th of what is more); the folder of temporary files has to hold the rows of one settings, uncompressed.
    """
    before = after = rows = 0
    for mark, settings in cache.settings().items():
        names = [file.name for file in cache.shards(mark)]
        before += len(names)
        if settings:  # else their file is damaged, which was told
            rows += _compact(cache, settings, mark, names)[1]
        after += len(cache.shards(mark))
    return {"files_before": before, "files_after": after, "rows": rows}


def tidy(cache: Cache, settings: Mapping[str, Any], mark: str, own: Collection[str] | None = None) -> list[str]:
    """Compact small shards once they are many.

    Args:
        own: only of these; None is of all, and then one process at a time does it, where the storage has locks.
    Returns:
        the names of the shards that were made.
    """
    small = [file.name for file in cache.shards(mark) if file.bytes < SMALL_BYTES and (own is None or file.name in own)]
    if len(small) < MANY:
        return []
    if own is not None:
        return _compact(cache, settings, mark, small)[0]
    with cache.alone(mark) as alone:
        return _compact(cache, settings, mark, small)[0] if alone else []


def _compact(cache: Cache, settings: Mapping[str, Any], mark: str, names: Sequence[str]) -> tuple[list[str], int]:
    """The names of the shards that these became, and how many rows they have."""
    sizes = {file.name: file.bytes for file in cache.shards(mark)}
    total = sum(sizes.get(name, 0) for name in names)
    with tempfile.TemporaryDirectory(prefix="translation-cache-") as folder:
        parts = [Path(folder) / f"{number}.arrow" for number in range(min(_MOST_PARTS, 1 + total // _PART_BYTES))]
        old = _deal(cache, mark, names, parts)
        new, rows = [], 0
        for table in _cut(once(_read(part)) for part in parts):
            new.append(cache.write(settings, table))
            rows += len(table)
    cache.remove(mark, [name for name in old if name not in new])
    return new, rows


def _deal(cache: Cache, mark: str, names: Sequence[str], parts: Sequence[Path]) -> list[str]:
    """Write the rows of the shards to the parts, which follow each other in the order of keys. Which were read."""
    read = []
    with ExitStack() as stack:
        files = [stack.enter_context(pa.OSFile(str(part), "wb")) for part in parts]
        writers = [stack.enter_context(pa.ipc.new_file(file, SCHEMA)) for file in files]
        for name in names:
            try:
                table = cache.table(mark, name)
            except (FileNotFoundError, DamagedError):
                continue  # compacted away by another; or named by whoever reads it, and left as it is
            read.append(name)
            # The first 32 bits of a key, as a share of all, times the number of parts.
            part_of = ((keys_of(table)[:, 0] >> np.uint64(32)) * np.uint64(len(parts))) >> np.uint64(32)
            order = np.argsort(part_of, kind="stable")
            edges = np.searchsorted(part_of[order], np.arange(len(parts) + 1))
            table = table.take(order)
            for number, writer in enumerate(writers):
                if edges[number] < edges[number + 1]:
                    writer.write_table(table.slice(edges[number], edges[number + 1] - edges[number]))
    return read


def _read(part: Path) -> pa.Table:
    with pa.memory_map(str(part)) as file:
        return pa.ipc.open_file(file).read_all()


def _cut(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Tables of SHARD_BYTES of text: where one ends depends on the rows before it, not on how they were dealt out."""
    kept: list[pa.Table] = []
    shard, total = 0, 0
    for table in tables:
        ends = total + np.cumsum(_row_bytes(table))
        total = int(ends[-1]) if len(ends) else total
        numbers, starts = np.unique(ends // SHARD_BYTES, return_index=True)
        for number, start, stop in zip(numbers, starts, [*starts[1:], len(table)], strict=True):
            if kept and number != shard:
                yield pa.concat_tables(kept)
                kept = []
            kept.append(table.slice(start, stop - start))
            shard = number
    if kept:
        yield pa.concat_tables(kept)


def _row_bytes(table: pa.Table) -> np.ndarray:
    sizes = np.full(len(table), 64, dtype=np.int64)  # of what is no text
    for name in ("source", "paraphrase", "pivot"):
        sizes += np.asarray(pc.call_function("binary_length", [table[name]]).fill_null(0))
    return sizes
