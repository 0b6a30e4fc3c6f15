"""Join a cache to a data set: the rows of millions of sources, in the order of the sources, memory-mapped."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from translation_cache.key import fingerprint as fingerprint_of
from translation_cache.keyset import KeySet
from translation_cache.mapped import Parts, mapped_table, scratch_folder
from translation_cache.queries import Texts, source_keys
from translation_cache.scan import unique_rows
from translation_cache.shard import SCHEMA
from translation_cache.store import Cache

_PART_ROWS = 1 << 18  # rows that are sorted in memory
_POSITION = "position"
_TEXTS = ("paraphrase", "pivot", "source")  # 64-bit offsets: a part can have more than 2 GiB of text


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
    """The rows of all samples of the sources: row i * samples + s is sample s of source i, null where it is missing.

    Rows are partitioned by their position in the result and each part is sorted in memory, so no file is read in random
    order. Time is linear in the rows of the cache and in the sources. Memory: 80 bytes per (source, sample), a few
    shards and one part. On disk the result takes twice its size for a while, in files that are already unlinked.

    Args:
        sources: texts; an Arrow column of a memory-mapped file uses no memory.
        columns: any of paraphrase, status, pivot, source, sample.
        scores: names of scores; null where a row has no score of that name.
        folder: for the files; None is the folder for temporary files.
    Returns:
        the requested columns, and one float column per score.
    Raises:
        CacheError: there is no space for the files, or a source holds half a surrogate pair.
    """
    fingerprint, rows = fingerprint_of(settings), len(sources) * samples
    fields = [(name, pa.large_string() if name in _TEXTS else SCHEMA.field(name).type) for name in columns]
    schema = pa.schema([*fields, *((name, pa.float64()) for name in scores)])
    wanted = KeySet(source_keys(fingerprint, sources, samples))
    positions_of = _Positions(wanted, len(sources), samples)
    read = [*columns, *(["scores"] if scores else [])]

    def by_part(part_rows: int) -> Iterator[tuple[np.ndarray, pa.Table]]:
        for keys, table in unique_rows(cache, fingerprint, read, wanted=wanted):
            texts = [table[name].cast(schema.field(name).type) for name in columns]
            values = [score_column(table["scores"], name) for name in scores]
            row, position = positions_of(keys)
            rows_out = pa.table([*texts, *values], schema=schema).take(pa.array(row))
            yield position // part_rows, rows_out.append_column(_POSITION, pa.array(position))

    with scratch_folder(folder) as scratch:
        parts = Parts(scratch, schema.append(pa.field(_POSITION, pa.int64())), -(-rows // _PART_ROWS))
        part_rows = max(1, -(-rows // len(parts)))
        parts.distribute(by_part(part_rows))
        return mapped_table(schema, _in_order(parts, rows, part_rows), folder=folder)


def _in_order(parts: Parts, rows: int, part_rows: int) -> Iterator[pa.Table]:
    """The rows of each part by position, with null rows where there is none."""
    for start, part in zip(range(0, max(1, rows), part_rows), parts, strict=True):
        row_at = np.full(min(part_rows, rows - start), -1, dtype=np.int64)
        row_at[part[_POSITION].to_numpy() - start] = np.arange(len(part))
        yield part.drop_columns(_POSITION).take(pa.array(row_at, mask=row_at < 0))


class _Positions:
    """The positions of each key in the result: several if a source occurs several times."""

    def __init__(self, wanted: KeySet, sources: int, samples: int) -> None:
        self._sources, self._samples = sources, samples
        self._counts = np.bincount(wanted.inverse, minlength=len(wanted)).astype(np.int32)
        self._ends = np.cumsum(self._counts)
        if len(wanted) == len(wanted.inverse):
            self._positions = wanted.first()
        else:
            self._positions = np.argsort(wanted.inverse, kind="stable")

    def __call__(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(index into `keys`, position in the result) for each position of the keys: (M,) -> (P,), (P,)."""
        counts = self._counts[keys]
        row = np.repeat(np.arange(len(keys)), counts)
        within = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
        sample, source = np.divmod(self._positions[self._ends[keys][row] - counts[row] + within], max(1, self._sources))
        return row, source * self._samples + sample


def score_column(scores: pa.ChunkedArray, name: str) -> pa.Array:
    """One score of each row, null where it is missing: (N,) lists of (name, value) -> (N,) float64."""
    lists = scores.combine_chunks()
    values = np.full(len(lists), np.nan)
    if len(lists):
        pairs = lists.flatten()
        row = np.asarray(lists.value_parent_indices())
        named = np.asarray(pc.call_function("equal", [pairs.field("name"), name]).fill_null(False))
        values[row[named]] = np.asarray(pairs.field("value"))[named]
    return pa.array(values, mask=np.isnan(values))
