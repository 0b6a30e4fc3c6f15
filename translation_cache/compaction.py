"""Compaction: replaces many small shards by few large ones, with each key once. A kill at any moment loses no row.

The rows are partitioned by key into files that fit in memory. Then each part is sorted, and shards are cut from the
sorted parts. The old shards are removed when all new ones are durable.

Concurrent compactions, writers and readers are safe. A compaction removes only rows that it has written to shards of a
higher generation (the number of compactions behind a shard). So two compactions cannot each remove the other's output,
even if their versions of Parquet encode the same rows differently.
"""

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from translation_cache.errors import CacheError, DamagedError
from translation_cache.mapped import Parts, scratch_folder
from translation_cache.shard import SCHEMA, deduplicated, generation, keys_of, with_generation
from translation_cache.store import Cache

log = logging.getLogger("translation_cache")

SHARD_BYTES = 96 << 20  # text in a full shard; its file is about a third of that
SMALL_BYTES = 4 << 20  # a smaller file is small
MIN_SMALL_FILES = 32  # small files that trigger a compaction
_PART_BYTES = 16 << 20  # files for one part


def compact(cache: Cache) -> dict[str, int]:
    """Rewrite the rows of each settings as few shards, with each key once; equal rows give equal shards.

    Time is linear in the rows. Memory is a few shards for up to 8 GB of files, and 1/500 of the files beyond. The
    folder for temporary files has to hold the rows of one settings.

    Returns:
        files_before, files_after, rows (rows read).
    """
    before = after = rows = 0
    for fingerprint, settings in cache.settings().items():
        names = [file.name for file in cache.shards(fingerprint)]
        before += len(names)
        rows += _compact(cache, settings, fingerprint, names)[1]
        after += len(cache.shards(fingerprint))
    return {"files_before": before, "files_after": after, "rows": rows}


def compact_small(
    cache: Cache, settings: Mapping[str, Any], fingerprint: str, names: Collection[str] | None = None
) -> list[str]:
    """Compact the small shards when there are many. A failure is only a warning: the rows stay safe as they are.

    Args:
        names: consider only these shards; None is all of them, which one process at a time does where the storage has
            locks.
    Returns:
        the names of the new shards.
    """
    small = [
        file.name
        for file in cache.shards(fingerprint)
        if file.bytes < SMALL_BYTES and (names is None or file.name in names)
    ]
    if len(small) < MIN_SMALL_FILES:
        return []
    try:
        if names is not None:
            return _compact(cache, settings, fingerprint, small)[0]
        with cache.lock(fingerprint) as locked:
            return _compact(cache, settings, fingerprint, small)[0] if locked else []
    except CacheError as error:
        log.warning("the small files of %s are not compacted: %s", cache.at(fingerprint), error)
        return []


@dataclass
class _Inputs:
    """Statistics of the shards that a compaction reads."""

    names: list[str] = field(default_factory=list)
    key_ranges: list[tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=list)  # (first, last) of a shard
    bytes: int = 0
    rows: int = 0
    generation: int = 0

    def are_compact(self) -> bool:
        """Whether the key ranges do not overlap and fewer shards could not hold the rows."""
        disjoint = all(first[1] < second[0] for first, second in pairwise(sorted(self.key_ranges)))
        return disjoint and len(self.names) <= 1 + self.bytes // SHARD_BYTES


def _compact(
    cache: Cache, settings: Mapping[str, Any], fingerprint: str, names: Sequence[str]
) -> tuple[list[str], int]:
    """(the names of the new shards, the number of rows read)."""
    sizes = {file.name: file.bytes for file in cache.shards(fingerprint)}
    total, inputs = sum(sizes.get(name, 0) for name in names), _Inputs()
    with scratch_folder() as folder:
        parts = Parts(folder, SCHEMA, 1 + total // _PART_BYTES)
        parts.distribute(_by_key(cache, fingerprint, names, len(parts), inputs))
        if inputs.are_compact():
            return [], inputs.rows
        new = [
            cache.write_to(fingerprint, settings, with_generation(shard, inputs.generation + 1))
            for shard in _shards(map(deduplicated, parts))
        ]
    cache.remove(fingerprint, set(inputs.names) - set(new))
    return new, inputs.rows


def _by_key(
    cache: Cache, fingerprint: str, names: Sequence[str], parts: int, inputs: _Inputs
) -> Iterator[tuple[np.ndarray, pa.Table]]:
    """(part of each row, rows) for each shard."""
    for name in names:
        try:
            table = cache.table(fingerprint, name)
        except FileNotFoundError:
            continue  # another process compacted it away
        except DamagedError as error:
            cache.warn_of_damage(f"{fingerprint}/{name}", error)
            continue  # the file stays as it is
        inputs.names.append(name)
        inputs.generation = max(inputs.generation, generation(table))
        if len(table):
            keys = keys_of(table)
            ordered = np.lexsort((keys[:, 1], keys[:, 0]))[[0, -1]]
            inputs.key_ranges.append((tuple(keys[ordered[0]].tolist()), tuple(keys[ordered[1]].tolist())))
            inputs.bytes += int(_row_bytes(table).sum())
            inputs.rows += len(table)
            # The first 32 bits of a key as a fraction, times the number of parts.
            yield (
                ((keys[:, 0] >> np.uint64(32)) * np.uint64(parts)) >> np.uint64(32),
                table.replace_schema_metadata(None),
            )


def _shards(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Tables of SHARD_BYTES of text. A cut depends on the rows before it, not on the partition into tables."""
    pieces: list[pa.Table] = []
    shard, total = 0, 0
    for table in tables:
        if not len(table):
            continue
        ends = total + np.cumsum(_row_bytes(table))
        total = int(ends[-1])
        numbers, starts = np.unique(ends // SHARD_BYTES, return_index=True)
        for number, start, stop in zip(numbers, starts, [*starts[1:], len(table)], strict=True):
            if pieces and number != shard:
                yield pa.concat_tables(pieces)
                pieces = []
            pieces.append(table.slice(start, stop - start))
            shard = number
    if pieces:
        yield pa.concat_tables(pieces)


def _row_bytes(table: pa.Table) -> np.ndarray:
    sizes = np.full(len(table), 64, dtype=np.int64)  # the columns without text
    for name in ("source", "paraphrase", "pivot"):
        sizes += np.asarray(pc.call_function("binary_length", [table[name]]).fill_null(0))
    return sizes
