"""Missing rows in blocks, in which the samples of a source stay together: what a job is given at once."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Batch = tuple[list[str], list[int]]  # sources, samples: one of each a row


def blocks_of_whole_sources(todo: pa.Table, rows: int) -> Iterator[pa.Table]:
    """Slices of at most `rows`, cut between two sources; a source that has more rows is a slice of its own.

    Where they are cut depends on these rows alone. Where all sources miss the same number of samples, every slice but
    the last holds the same number of sources, so the slices that a kill left to be made come back as they were.

    Args:
        todo: as in `Missing.rows`: source, sample; the rows of a source stand together.
    """
    sources = todo["source"]
    begins = np.asarray(pc.call_function("not_equal", [sources[1:], sources[:-1]]))  # does a source begin at row i + 1?
    edges = np.concatenate([[0], np.flatnonzero(begins) + 1, [len(todo)]])
    first = 0
    while edges[first] < len(todo):
        last = max(first + 1, int(edges.searchsorted(edges[first] + rows, side="right")) - 1)
        yield todo.slice(edges[first], edges[last] - edges[first])
        first = last


def batches(todo: pa.Table, rows: int) -> Iterator[Batch]:
    """The same slices as a job takes them."""
    for block in blocks_of_whole_sources(todo, rows):
        yield block["source"].to_pylist(), block["sample"].to_pylist()
