"""Read the rows of a cache, each key once, however they are spread over shards and however often they stand there."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from translation_cache.keyset import KeySet
from translation_cache.shard import best_of, content_numbers, keys_of
from translation_cache.store import Cache

_CONTENT = ["status", "paraphrase", "pivot", "scores"]  # what two rows of one key may differ in


def all_keys(cache: Cache, mark: str, checked: set[str]) -> np.ndarray:
    """The keys of all rows, (N, 2) uint64."""
    found = [keys_of(table) for table in cache.tables(mark, ["key"], checked=checked)]
    return np.concatenate(found) if found else np.empty((0, 2), dtype=np.uint64)


def each_once(
    cache: Cache, mark: str, columns: Sequence[str], *, wanted: KeySet | None = None
) -> Iterator[tuple[np.ndarray, pa.Table]]:
    """The rows of the wanted keys: (their places in `wanted`, a table of as many rows), one pair for each shard.

    Shards are looked through twice: first for the keys, then for the columns. Where keys stand several times, as they
    do while a compaction is at work, there is a look between, for rows that differ: of these the same one is given
    whatever the order of the shards. Rows that writers add meanwhile are not given, and none is given twice when shards
    are compacted meanwhile. Memory: that of a few shards, 5 bytes a wanted key (13 where some stand several times), and
    the rows that differ.

    Args:
        wanted: None is all that are there.
    """
    checked: set[str] = set()
    if wanted is None:
        wanted = KeySet(all_keys(cache, mark, checked))
        times = np.bincount(wanted.inverse, minlength=len(wanted)).astype(np.int32)
    else:
        times = np.zeros(len(wanted), dtype=np.int32)
        for table in cache.tables(mark, ["key"], checked=checked):
            places = wanted.find(keys_of(table))
            np.add.at(times, places[places >= 0], 1)
    if not len(wanted):
        return
    differing = _differing(cache, mark, wanted, checked) if (times > 1).any() else np.zeros(len(wanted), dtype=bool)
    given = np.zeros(len(wanted), dtype=bool)
    rivals: list[tuple[np.ndarray, pa.Table]] = []
    read = ["key", *columns] if not differing.any() else sorted({"key", *columns, *_CONTENT})
    for table in cache.tables(mark, read, checked=checked):
        places = wanted.find(keys_of(table))
        here = (places >= 0) & (times[places] > 0) & ~given[places]
        rival = here & differing[places]
        if rival.any():
            rivals.append((places[rival], table.filter(rival)))
        # Of equal rows in one shard the first one: np.unique gives the places in order, as those of a shard are.
        found, first = np.unique(places[here & ~rival], return_index=True)
        given[found] = True
        yield found, table.select(columns).take(np.flatnonzero(here & ~rival)[first])
    if rivals:
        places, rows = np.concatenate([places for places, _ in rivals]), pa.concat_tables(rows for _, rows in rivals)
        best = best_of(places, rows)
        yield places[best], rows.select(columns).take(best)


def _differing(cache: Cache, mark: str, wanted: KeySet, checked: set[str]) -> np.ndarray:
    """Which of the wanted keys have rows that are not alike: (len(wanted),) bool."""
    seen, numbers = np.zeros(len(wanted), dtype=bool), np.zeros(len(wanted), dtype=np.uint64)
    differing = np.zeros(len(wanted), dtype=bool)
    for table in cache.tables(mark, ["key", *_CONTENT], checked=checked):
        places = wanted.find(keys_of(table))
        there = np.flatnonzero(places >= 0)
        places, found = places[there], content_numbers(table)[there]
        new = ~seen[places]
        numbers[places[new]] = found[new]
        seen[places] = True
        differing[places[numbers[places] != found]] = True
    return differing
