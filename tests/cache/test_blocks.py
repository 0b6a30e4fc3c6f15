"""What a job is given at once: whole sources, cut at the same rows before a kill and after it."""

from itertools import groupby, pairwise
from operator import itemgetter
from pathlib import Path

import pyarrow as pa
import pytest
from contents import content
from hypothesis import given, settings
from hypothesis import strategies as st
from jobs import Upper

from translation_cache import Cache, Job, fill, missing
from translation_cache.blocks import batches, blocks_of_whole_sources
from translation_cache.on_ray import _Commit

TEXTS = [f"text {number}" for number in range(20)]


def table(rows: list[tuple[str, int]]) -> pa.Table:
    sources, samples = [source for source, _ in rows], [sample for _, sample in rows]
    return pa.table({"source": pa.array(sources, pa.large_string()), "sample": pa.array(samples, pa.int32())})


def cut(rows: list[tuple[str, int]], size: int) -> list[list[tuple[str, int]]]:
    return [list(zip(*batch, strict=True)) for batch in batches(table(rows), size)]


@settings(deadline=None)  # the first example also loads kernels of Arrow
@given(st.lists(st.sets(st.integers(0, 4), min_size=1), max_size=30), st.integers(1, 12))
def test_no_source_is_cut_and_no_block_could_hold_one_more(samples, size):
    rows = [(f"text {number}", sample) for number, each in enumerate(samples) for sample in sorted(each)]
    blocks = cut(rows, size)
    assert [row for block in blocks for row in block] == rows and all(blocks)
    by_source = [[len(list(each)) for _, each in groupby(block, itemgetter(0))] for block in blocks]
    assert sum(map(len, by_source)) == len(samples), "each source in one block"
    assert all(sum(counts) <= size or len(counts) == 1 for counts in by_source)
    assert all(sum(counts) + others[0] > size for counts, others in pairwise(by_source))


@settings(deadline=None)  # the first example also loads kernels of Arrow
@given(st.data(), st.integers(1, 25), st.integers(1, 5), st.integers(1, 12))
def test_what_is_left_after_whole_blocks_is_cut_as_before(data, sources, samples, size):
    blocks = cut([(f"text {number}", sample) for number in range(sources) for sample in range(samples)], size)
    left = [block for block in blocks if data.draw(st.booleans())]
    assert cut([row for block in left for row in block], size) == left


def test_sizes_of_blocks(cache: Cache):
    texts = [f"text {number}" for number in range(200)]
    todo = missing(cache, Upper().settings(), texts, samples=3).rows
    assert [len(block) for block in blocks_of_whole_sources(todo, 256)] == [255, 255, 90]
    assert [len(block) for block in blocks_of_whole_sources(todo, 2)] == [3] * 200
    assert list(blocks_of_whole_sources(todo.slice(0, 0), 256)) == []


def test_columns_in_many_pieces_are_cut_alike():
    rows = [(source, sample) for source in TEXTS for sample in range(3)]
    pieces = pa.concat_tables([table(rows[:1]), table([]), table(rows[1:11]), table(rows[11:])])
    assert list(batches(pieces, 7)) == list(batches(table(rows), 7))


class Noting(Job):
    """Keeps what it was called with, and is stopped before the call that is one too many."""

    def __init__(self, most: int = 1000) -> None:
        self.most = most
        self.calls: list[list[tuple[str, int]]] = []

    def settings(self) -> dict:
        return Upper().settings()

    def __call__(self, sources, samples):
        if len(self.calls) == self.most:
            raise KeyboardInterrupt
        self.calls.append(list(zip(sources, samples, strict=True)))
        return Upper()(sources, samples)


@pytest.mark.parametrize(("samples", "size"), [(1, 6), (3, 7), (3, 2)])
@pytest.mark.parametrize("stopped_after", [1, 2, 3])
def test_a_job_that_goes_on_is_called_as_if_it_had_not_been_stopped(
    tmp_path: Path, samples: int, size: int, stopped_after: int
):
    whole, stopped, resumed = Noting(), Noting(stopped_after), Noting()
    fill(Cache(tmp_path / "whole"), whole, TEXTS, samples=samples, batch_size=size)
    cache = Cache(tmp_path / "stopped")
    with pytest.raises(KeyboardInterrupt):
        fill(cache, stopped, TEXTS, samples=samples, batch_size=size)
    fill(cache, resumed, TEXTS, samples=samples, batch_size=size)
    assert [*stopped.calls, *resumed.calls] == whole.calls and resumed.calls
    assert content(cache) == content(Cache(tmp_path / "whole"))


def test_an_actor_of_ray_calls_the_job_alike(tmp_path: Path):
    local, actor = Noting(), Noting()
    fill(Cache(tmp_path / "local"), local, TEXTS, samples=3, batch_size=7)
    cache = Cache(tmp_path / "ray")
    (told,) = _Commit(str(cache), actor, 7)(missing(cache, actor.settings(), TEXTS, samples=3).rows).to_pylist()
    assert (told["cache_error"], told["job_error"]) == (None, None) and actor.calls == local.calls
    assert content(cache) == content(Cache(tmp_path / "local"))
