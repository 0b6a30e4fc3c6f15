"""Read the rows of a cache, each key once, however they are spread over shards and however often they stand there."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa

from translation_cache.keyset import KeySet
from translation_cache.shard import best_of, content_numbers, keys_of
from translation_cache.store import Cache

_CONTENT = ["status", "paraphrase", "pivot", "scores"]  # what two rows of one key may differ in


def each_once(
    cache: Cache, mark: str, columns: Sequence[str], *, wanted: KeySet | None = None
) -> Iterator[tuple[np.ndarray, pa.Table]]:
    """The rows of the wanted keys: (their places in `wanted`, a table of as many rows), one pair for each shard.

    Shards are looked through twice: first for the keys, then for the columns. Where keys stand several times, as they
    do while a compaction is at work, there is a look between, for rows that differ: of these the same one is given
    whatever the order of the shards. Rows that writers add meanwhile are not given, and none is given twice when shards
    are compacted meanwhile. Memory: that of a few shards, 8 bytes a row, 5 a wanted key (13 where some stand several
    times), and the rows that differ.

    Args:
        wanted: None is all that are there.
    """
    checked: set[str] = set()
    if wanted is None:
        found = {name: keys_of(table) for name, table in cache.named_tables(mark, ["key"], checked=checked)}
        wanted = KeySet(np.concatenate([np.empty((0, 2), dtype=np.uint64), *found.values()]))
        places_of = dict(
            zip(found, np.split(wanted.inverse, np.cumsum([len(keys) for keys in found.values()])), strict=False)
        )
    else:
        places_of = {
            name: wanted.find(keys_of(table)) for name, table in cache.named_tables(mark, ["key"], checked=checked)
        }
    times = _times(places_of.values(), len(wanted))
    if not len(wanted):
        return
    differing = _differing(cache, mark, wanted, checked) if (times > 1).any() else np.zeros(len(wanted), dtype=bool)
    given = np.zeros(len(wanted), dtype=bool)
    rivals: list[tuple[np.ndarray, pa.Table]] = []
    read = ["key", *columns] if not differing.any() else sorted({"key", *columns, *_CONTENT})
    for name, table in cache.named_tables(mark, read, checked=checked):
        places = places_of.pop(name, None)
        if places is None:
            places = wanted.find(keys_of(table))
        here = (places >= 0) & (times[places] > 0) & ~given[places]
        rival = here & differing[places]
        if rival.any():
            rivals.append((places[rival], table.filter(rival)))
        chosen = _first_of_equals(np.flatnonzero(here & ~rival), places)
        given[places[chosen]] = True
        yield places[chosen], table.select(columns).take(chosen)
    if rivals:
        places, rows = np.concatenate([places for places, _ in rivals]), pa.concat_tables(rows for _, rows in rivals)
        best = best_of(places, rows)
        yield places[best], rows.select(columns).take(best)


def _times(places: Iterable[np.ndarray], wanted: int) -> np.ndarray:
    """How many rows each wanted key has."""
    times = np.zeros(wanted, dtype=np.int32)
    for each in places:
        there = each[each >= 0]
        if np.all(there[1:] > there[:-1]):  # as in every shard that we wrote: each key once, in order
            times[there] += 1
        else:
            np.add.at(times, there, 1)
    return times


def _first_of_equals(rows: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Those of the rows of a shard that are the first of their place."""
    if np.all(places[rows][1:] > places[rows][:-1]):
        return rows
    return rows[np.unique(places[rows], return_index=True)[1]]


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
