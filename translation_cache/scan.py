"""Read the rows of a cache, each key once, however they are spread over shards and however often they stand there."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from translation_cache.keyset import KeySet
from translation_cache.shard import best_of, keys_of
from translation_cache.store import Cache


def all_keys(cache: Cache, mark: str) -> KeySet:
    """The keys that have a row. 64 bytes of memory each."""
    found = [keys_of(table) for table in cache.tables(mark, ["key"])]
    return KeySet(np.concatenate(found) if found else np.empty((0, 2), dtype=np.uint64))


def each_once(
    cache: Cache, mark: str, columns: Sequence[str], *, wanted: KeySet | None = None
) -> Iterator[tuple[np.ndarray, pa.Table]]:
    """The rows of the wanted keys: (their places in `wanted`, a table of as many rows), one pair for each shard.

    Shards are looked through twice: first for the keys, so that of rows with one key the same one is read in every
    order of the shards, then for the columns. Rows that writers add meanwhile are not given, and none is given twice
    when shards are compacted meanwhile. Memory: that of a few shards, 5 bytes a wanted key, and the rows whose keys
    stand several times.

    Args:
        wanted: None is all that are there.
    """
    if wanted is None:
        wanted = all_keys(cache, mark)
        times = np.bincount(wanted.inverse, minlength=len(wanted)).astype(np.int32)
    else:
        times = np.zeros(len(wanted), dtype=np.int32)
        for table in cache.tables(mark, ["key"]):
            places = wanted.find(keys_of(table))
            np.add.at(times, places[places >= 0], 1)
    if not len(wanted):
        return
    given = np.zeros(len(wanted), dtype=bool)
    rivals: list[tuple[np.ndarray, pa.Table]] = []
    read = None if (times > 1).any() else ["key", *columns]  # rivals are judged by all that they hold
    for table in cache.tables(mark, read, again=True):
        places = wanted.find(keys_of(table))
        here = (places >= 0) & (times[places] > 0) & ~given[places]
        alone = here & (times[places] == 1)
        given[places[alone]] = True
        if (here & ~alone).any():
            rivals.append((places[here & ~alone], table.filter(here & ~alone)))
        yield places[alone], table.select(columns).filter(alone)
    if rivals:
        places, rows = np.concatenate([places for places, _ in rivals]), pa.concat_tables(rows for _, rows in rivals)
        best = best_of(places, rows)
        yield places[best], rows.select(columns).take(best)
