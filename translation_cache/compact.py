"""Compaction: few large shards for many small ones, each key once; whatever moment it is killed at, no row is lost.

The rows are dealt out by key to parts that are small enough for memory, on disk; then one part after the other is put
in order, and shards are cut from that order. Only when all of these are durable do the old ones go.

Two at work at once, and writers and readers beside them, do no harm. What is removed is in shards that were written
before, and those are of a higher generation (the number of compactions behind them): so no two compactions, not even
of different versions of Parquet, can each remove what the other one wrote.
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
from translation_cache.shard import SCHEMA, generation, keys_of, of_generation, once
from translation_cache.store import Cache

log = logging.getLogger("translation_cache")

SHARD_BYTES = 96 << 20  # of text in a full shard; its file has about a third of that
SMALL_BYTES = 4 << 20  # of a file that is worth putting together with others
MANY = 32  # small files that are too many
_PART_BYTES = 16 << 20  # of files that are dealt out to one part


def compact(cache: Cache) -> dict[str, int]:
    """As few shards as can be for each settings, each key once; the same rows make the same shards.

    Returns:
        files_before, files_after, rows (that were read). Time is linear in the rows, memory that of a few shards (up to
        8 GB of files; a 500th of what is more); the folder of temporary files has to hold the rows of one settings.
    """
    before = after = rows = 0
    for mark, settings in cache.settings().items():
        names = [file.name for file in cache.shards(mark)]
        before += len(names)
        rows += _compact(cache, settings, mark, names)[1]
        after += len(cache.shards(mark))
    return {"files_before": before, "files_after": after, "rows": rows}


def tidy(cache: Cache, settings: Mapping[str, Any], mark: str, own: Collection[str] | None = None) -> list[str]:
    """Compact small shards once they are many. That it cannot is a warning: the rows are safe as they are.

    Args:
        own: only of these; None is of all, and then one process at a time does it, where the storage can tell.
    Returns:
        the names of the shards that were made.
    """
    small = [file.name for file in cache.shards(mark) if file.bytes < SMALL_BYTES and (own is None or file.name in own)]
    if len(small) < MANY:
        return []
    try:
        if own is not None:
            return _compact(cache, settings, mark, small)[0]
        with cache.alone(mark) as alone:
            return _compact(cache, settings, mark, small)[0] if alone else []
    except CacheError as error:
        log.warning("the small files of %s are not put together: %s", cache.at(mark), error)
        return []


@dataclass
class _Seen:
    """What compaction meets in the shards that it reads."""

    names: list[str] = field(default_factory=list)
    ranges: list[tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=list)  # first and last key of each
    bytes: int = 0
    rows: int = 0
    generation: int = 0

    def is_compact(self) -> bool:
        """Do the shards follow each other in the order of keys, and could there be no fewer?"""
        ordered = sorted(self.ranges)
        apart = all(one[1] < other[0] for one, other in pairwise(ordered))
        return apart and len(self.names) <= 1 + self.bytes // SHARD_BYTES


def _compact(cache: Cache, settings: Mapping[str, Any], mark: str, names: Sequence[str]) -> tuple[list[str], int]:
    """The names of the shards that these became, and how many rows were read."""
    sizes = {file.name: file.bytes for file in cache.shards(mark)}
    total, seen = sum(sizes.get(name, 0) for name in names), _Seen()
    with scratch_folder() as folder:
        parts = Parts(folder, SCHEMA, 1 + total // _PART_BYTES)
        parts.deal(_by_key(cache, mark, names, len(parts), seen))
        if seen.is_compact():
            return [], seen.rows
        new = [
            cache.write_to(mark, settings, of_generation(shard, seen.generation + 1))
            for shard in _shards(map(once, parts))
        ]
    cache.remove(mark, set(seen.names) - set(new))
    return new, seen.rows


def _by_key(
    cache: Cache, mark: str, names: Sequence[str], parts: int, seen: _Seen
) -> Iterator[tuple[np.ndarray, pa.Table]]:
    """The rows of the shards, and to which part each belongs."""
    for name in names:
        try:
            table = cache.table(mark, name)
        except FileNotFoundError:
            continue  # compacted away by another
        except DamagedError as error:
            cache.tell(f"{mark}/{name}", error)
            continue  # it is left as it is
        seen.names.append(name)
        seen.generation = max(seen.generation, generation(table))
        if len(table):
            keys = keys_of(table)
            ordered = np.lexsort((keys[:, 1], keys[:, 0]))[[0, -1]]
            seen.ranges.append((tuple(keys[ordered[0]].tolist()), tuple(keys[ordered[1]].tolist())))
            seen.bytes += int(_row_bytes(table).sum())
            seen.rows += len(table)
            # The first 32 bits of a key, as a share of all, times the number of parts.
            yield (
                ((keys[:, 0] >> np.uint64(32)) * np.uint64(parts)) >> np.uint64(32),
                table.replace_schema_metadata(None),
            )


def _shards(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Tables of SHARD_BYTES of text: where one ends depends on the rows before it, not on how they were dealt out."""
    kept: list[pa.Table] = []
    shard, total = 0, 0
    for table in tables:
        if not len(table):
            continue
        ends = total + np.cumsum(_row_bytes(table))
        total = int(ends[-1])
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
