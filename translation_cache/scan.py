"""Read the rows of a cache, each key once, for any distribution over shards and any number of duplicates."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa

from translation_cache.keyset import KeySet
from translation_cache.shard import best_of, content_hashes, keys_of
from translation_cache.store import Cache

_CONTENT = ["status", "paraphrase", "pivot", "scores"]  # columns in which two rows of one key can differ


def unique_rows(
    cache: Cache, fingerprint: str, columns: Sequence[str], *, wanted: KeySet | None = None
) -> Iterator[tuple[np.ndarray, pa.Table]]:
    """(indices in `wanted` (R,), table of R rows) for each shard; each wanted key once.

    Two passes read first the keys and then the columns. If keys occur several times, as during a compaction, a pass in
    between finds those with different rows, and of these every reader gets the same row, in any order of the shards.
    Rows that other processes add during the read are ignored, and a concurrent compaction duplicates no row. Memory: a
    few shards, 8 bytes per row, 5 per wanted key (13 with duplicates), and the rows that differ.

    Args:
        wanted: None is all keys of the cache.
    """
    checked: set[str] = set()
    if wanted is None:
        keys_by_shard = {
            name: keys_of(table) for name, table in cache.named_tables(fingerprint, ["key"], checked=checked)
        }
        wanted = KeySet(np.concatenate([np.empty((0, 2), dtype=np.uint64), *keys_by_shard.values()]))
        ends = np.cumsum([len(keys) for keys in keys_by_shard.values()])
        places_of = dict(zip(keys_by_shard, np.split(wanted.inverse, ends), strict=False))
    else:
        places_of = {
            name: wanted.find(keys_of(table))
            for name, table in cache.named_tables(fingerprint, ["key"], checked=checked)
        }
    times = _times(places_of.values(), len(wanted))
    if not len(wanted):
        return
    differing = (
        _differing(cache, fingerprint, wanted, checked) if (times > 1).any() else np.zeros(len(wanted), dtype=bool)
    )
    yielded = np.zeros(len(wanted), dtype=bool)
    rivals: list[tuple[np.ndarray, pa.Table]] = []
    read = ["key", *columns] if not differing.any() else sorted({"key", *columns, *_CONTENT})
    for name, table in cache.named_tables(fingerprint, read, checked=checked):
        places = places_of.pop(name, None)
        if places is None:
            places = wanted.find(keys_of(table))
        here = (places >= 0) & (times[places] > 0) & ~yielded[places]
        rival = here & differing[places]
        if rival.any():
            rivals.append((places[rival], table.filter(rival)))
        selected = _first_by_place(np.flatnonzero(here & ~rival), places)
        yielded[places[selected]] = True
        yield places[selected], table.select(columns).take(selected)
    if rivals:
        places, rows = np.concatenate([places for places, _ in rivals]), pa.concat_tables(rows for _, rows in rivals)
        best = best_of(places, rows)
        yield places[best], rows.select(columns).take(best)


def _times(places: Iterable[np.ndarray], wanted: int) -> np.ndarray:
    """The number of rows of each wanted key."""
    times = np.zeros(wanted, dtype=np.int32)
    for of_shard in places:
        present = of_shard[of_shard >= 0]
        if np.all(present[1:] > present[:-1]):  # true for every shard of this package: sorted distinct keys
            times[present] += 1
        else:
            np.add.at(times, present, 1)
    return times


def _first_by_place(rows: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The first of the rows with each place."""
    if np.all(places[rows][1:] > places[rows][:-1]):
        return rows
    return rows[np.unique(places[rows], return_index=True)[1]]


def _differing(cache: Cache, fingerprint: str, wanted: KeySet, checked: set[str]) -> np.ndarray:
    """Whether a wanted key has rows with different contents: (len(wanted),) bool."""
    seen, hashes = np.zeros(len(wanted), dtype=bool), np.zeros(len(wanted), dtype=np.uint64)
    differing = np.zeros(len(wanted), dtype=bool)
    for table in cache.tables(fingerprint, ["key", *_CONTENT], checked=checked):
        places = wanted.find(keys_of(table))
        rows = np.flatnonzero(places >= 0)
        places, contents = places[rows], content_hashes(table)[rows]
        new = ~seen[places]
        hashes[places[new]] = contents[new]
        seen[places] = True
        differing[places[hashes[places] != contents]] = True
    return differing
