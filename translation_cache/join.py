"""Join a cache to a data set: millions of rows in a memory-mapped file, found by the place of their source."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from translation_cache.key import fingerprint
from translation_cache.keyset import KeySet
from translation_cache.lookup import Texts, source_keys
from translation_cache.mapped import mapped_table
from translation_cache.scan import each_once
from translation_cache.shard import SCHEMA
from translation_cache.store import Cache

_TEXTS = ("paraphrase", "pivot", "source")  # columns whose blocks may be larger than 32-bit offsets reach


@dataclass(frozen=True)
class Joined:
    """What was made of the sources."""

    places: np.ndarray
    """(samples, sources) int64: the row of each in `table`, -1 where there is none."""

    table: pa.Table
    """The rows, memory-mapped: the columns asked for, and one float column a score. In no order to rely on."""

    def take(self, places: np.ndarray) -> pa.Table:
        """Rows by their places, (M,), a row of nulls for -1. Memory grows with M alone."""
        there = np.flatnonzero(places >= 0)
        starts = np.cumsum([0, *(batch.num_rows for batch in self.table.to_batches())])
        chunk = np.searchsorted(starts, places[there], side="right") - 1
        order = there[np.argsort(chunk, kind="stable")]
        batches = self.table.to_batches()
        parts = [
            batches[number].take(pa.array(places[rows] - starts[number]))
            for number in np.unique(chunk)
            for rows in [there[chunk == number]]
        ]
        where = np.full(len(places), -1, dtype=np.int64)
        where[order] = np.arange(len(order))
        found = pa.Table.from_batches(parts, schema=self.table.schema).combine_chunks()
        return found.take(pa.array(where, mask=where < 0))


def join(
    cache: Cache,
    settings: Mapping[str, Any],
    sources: Texts,
    *,
    samples: int = 1,
    columns: Sequence[str] = ("paraphrase", "status"),
    scores: Sequence[str] = (),
    folder: str | os.PathLike[str] | None = None,
) -> Joined:
    """The rows of all samples of the sources.

    Time is linear in the rows of the cache and in the sources. Memory: about 100 bytes for each of (source, sample),
    and that of a few shards; the rows lie in a file without a name, which is gone with the last use of the table.

    Args:
        sources: texts, best as an Arrow column of a memory-mapped file.
        columns: of paraphrase, status, pivot, source, sample.
        scores: names of scores; null where a row has none of that name.
        folder: for the file, which takes as much disk as the columns do; None is that of temporary files.
    Raises:
        CacheError: no space for the file, or a source that holds half a surrogate pair.
    """
    mark = fingerprint(settings)
    wanted = KeySet(source_keys(mark, sources, samples))
    fields = [pa.field(name, pa.large_string() if name in _TEXTS else SCHEMA.field(name).type) for name in columns]
    schema = pa.schema([*fields, *(pa.field(name, pa.float64()) for name in scores)])
    read = [*columns, *(["scores"] if scores else [])]
    row_of = np.full(len(wanted), -1, dtype=np.int64)

    def parts() -> Iterator[pa.Table]:
        count = 0
        for places, rows in each_once(cache, mark, read, wanted=wanted):
            row_of[places] = np.arange(count, count + len(places))
            count += len(places)
            texts = [rows[name].cast(schema.field(name).type) for name in columns]
            yield pa.table([*texts, *(score_column(rows["scores"], name) for name in scores)], schema=schema)

    table = mapped_table(schema, parts(), folder=folder)
    return Joined(row_of[wanted.inverse].reshape(samples, len(sources)), table)


def score_column(scores: pa.ChunkedArray, name: str) -> pa.Array:
    """One score of each row, null where there is none: (N,) lists of (name, value) -> (N,) float64."""
    lists = scores.combine_chunks() if isinstance(scores, pa.ChunkedArray) else scores
    values = np.full(len(lists), np.nan)
    if len(lists):
        pairs = lists.flatten()
        row = np.asarray(lists.value_parent_indices())
        named = np.asarray(pc.call_function("equal", [pairs.field("name"), name]).fill_null(False))
        values[row[named]] = np.asarray(pairs.field("value"))[named]
    return pa.array(values, mask=np.isnan(values))
