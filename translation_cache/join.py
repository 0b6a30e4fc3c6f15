"""Join a cache to a data set: what was made of millions of sources, in their order, in a memory-mapped file."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from translation_cache.key import fingerprint
from translation_cache.keyset import KeySet
from translation_cache.lookup import Texts, source_keys
from translation_cache.mapped import Parts, mapped_table, scratch_folder
from translation_cache.scan import each_once
from translation_cache.shard import SCHEMA
from translation_cache.store import Cache

_PART_ROWS = 1 << 18  # that are put in order in memory
_PLACE = "place"
_TEXTS = ("paraphrase", "pivot", "source")  # of which a part may have more than 32-bit offsets reach


def join(
    cache: Cache,
    settings: Mapping[str, Any],
    sources: Texts,
    *,
    samples: int = 1,
    columns: Sequence[str] = ("paraphrase", "status"),
    scores: Sequence[str] = (),
    folder: str | os.PathLike[str] | None = None,
) -> pa.Table:
    """The rows of all samples of the sources: row i * samples + s is sample s of source i, null where there is none.

    Rows are dealt out by their place in the data set, and each part put in order by itself, so nothing is read at
    random. Time is linear in the rows of the cache and in the sources. Memory: 80 bytes for each of (source, sample),
    that of a few shards and of a part; on disk what is returned lies twice for a while, in files without a name.

    Args:
        sources: texts, best as an Arrow column of a memory-mapped file.
        columns: of paraphrase, status, pivot, source, sample.
        scores: names of scores; null where a row has none of that name.
        folder: for the files; None is that of temporary files.
    Returns:
        the columns asked for, and one float column a score.
    Raises:
        CacheError: no space for the files, or a source that holds half a surrogate pair.
    """
    mark, rows = fingerprint(settings), len(sources) * samples
    fields = [(name, pa.large_string() if name in _TEXTS else SCHEMA.field(name).type) for name in columns]
    schema = pa.schema([*fields, *((name, pa.float64()) for name in scores)])
    wanted = KeySet(source_keys(mark, sources, samples))
    places_of = _Places(wanted, len(sources), samples)
    read = [*columns, *(["scores"] if scores else [])]

    def placed(part_rows: int) -> Iterator[tuple[np.ndarray, pa.Table]]:
        for keys, found in each_once(cache, mark, read, wanted=wanted):
            texts = [found[name].cast(schema.field(name).type) for name in columns]
            values = [score_column(found["scores"], name) for name in scores]
            row, place = places_of(keys)
            table = pa.table([*texts, *values], schema=schema).take(pa.array(row))
            yield place // part_rows, table.append_column(_PLACE, pa.array(place))

    with scratch_folder(folder) as scratch:
        parts = Parts(scratch, schema.append(pa.field(_PLACE, pa.int64())), -(-rows // _PART_ROWS))
        part_rows = max(1, -(-rows // len(parts)))
        parts.deal(placed(part_rows))
        return mapped_table(schema, _in_order(parts, rows, part_rows), folder=folder)


def _in_order(parts: Parts, rows: int, part_rows: int) -> Iterator[pa.Table]:
    """The rows of each part by their places, null rows where there is none."""
    for start, part in zip(range(0, max(1, rows), part_rows), parts, strict=True):
        where = np.full(min(part_rows, rows - start), -1, dtype=np.int64)
        where[part[_PLACE].to_numpy() - start] = np.arange(len(part))
        yield part.drop_columns(_PLACE).take(pa.array(where, mask=where < 0))


class _Places:
    """Where the rows of a key belong: at each (source, sample) that has it, for a source may stand several times."""

    def __init__(self, wanted: KeySet, sources: int, samples: int) -> None:
        self._sources, self._samples = sources, samples
        self._counts = np.bincount(wanted.inverse, minlength=len(wanted)).astype(np.int32)
        self._ends = np.cumsum(self._counts)
        if len(wanted) == len(wanted.inverse):
            self._asked = wanted.first()
        else:
            self._asked = np.argsort(wanted.inverse, kind="stable")

    def __call__(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(which of the keys, its place in what is returned), one for each place: (M,) -> (P,), (P,)."""
        counts = self._counts[keys]
        row = np.repeat(np.arange(len(keys)), counts)
        within = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
        sample, source = np.divmod(self._asked[self._ends[keys][row] - counts[row] + within], max(1, self._sources))
        return row, source * self._samples + sample


def score_column(scores: pa.ChunkedArray, name: str) -> pa.Array:
    """One score of each row, null where there is none: (N,) lists of (name, value) -> (N,) float64."""
    lists = scores.combine_chunks()
    values = np.full(len(lists), np.nan)
    if len(lists):
        pairs = lists.flatten()
        row = np.asarray(lists.value_parent_indices())
        named = np.asarray(pc.call_function("equal", [pairs.field("name"), name]).fill_null(False))
        values[row[named]] = np.asarray(pairs.field("value"))[named]
    return pa.array(values, mask=np.isnan(values))
