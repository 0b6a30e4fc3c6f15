"""Splits the missing rows into blocks for a job; the samples of a source stay in one block."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from translation_cache.job import Batch


def blocks_of_whole_sources(todo: pa.Table, rows: int) -> Iterator[pa.Table]:
    """Slices of at most `rows` rows, cut between sources; a source with more rows is one slice.

    The cuts depend on these rows only. If all sources lack the same number of samples, every slice except the last has
    the same number of sources, so a rerun after a kill gets the remaining slices unchanged.

    Args:
        todo: `Missing.rows`: source, sample; the rows of a source are adjacent.
    """
    sources = todo["source"]
    is_start = np.asarray(pc.call_function("not_equal", [sources[1:], sources[:-1]]))  # a source begins at row i + 1
    edges = np.concatenate([[0], np.flatnonzero(is_start) + 1, [len(todo)]])
    first = 0
    while edges[first] < len(todo):
        last = max(first + 1, int(edges.searchsorted(edges[first] + rows, side="right")) - 1)
        yield todo.slice(edges[first], edges[last] - edges[first])
        first = last


def batches(todo: pa.Table, rows: int) -> Iterator[Batch]:
    """The same slices as lists, the input of a job."""
    for block in blocks_of_whole_sources(todo, rows):
        yield block["source"].to_pylist(), block["sample"].to_pylist()
