"""Compaction: large shards from small ones, by hand and by itself, while others write and read."""

import threading
from importlib import import_module
from pathlib import Path

import pytest
from conftest import content
from jobs import Upper

from translation_cache import Cache, Paraphrase, compact, digest, fill, fingerprint, lookup, verify
from translation_cache.compact import MANY, tidy

compaction = import_module("translation_cache.compact")  # the module, whose name in the package is the function's
TEXTS = [f"text {number}" for number in range(400)]
SETTINGS = Upper().settings()
MARK = fingerprint(SETTINGS)


@pytest.fixture
def whole(tmp_path: Path) -> list[tuple]:
    cache = Cache(tmp_path / "whole")
    fill(cache, Upper(), TEXTS)
    return content(cache)


def test_shards_are_cut_at_the_same_rows_however_they_came(cache, tmp_path, whole, monkeypatch):
    monkeypatch.setattr(compaction, "SHARD_BYTES", 8000)
    monkeypatch.setattr(compaction, "_PART_BYTES", 2000)
    fill(cache, Upper(), TEXTS, batch_size=30, commit_bytes=1)
    other = Cache(tmp_path / "other")
    fill(other, Upper(), TEXTS[::-1], batch_size=100, commit_bytes=1)
    names = []
    for each in (cache, other):
        assert compact(each)["rows"] == len(TEXTS)
        assert content(each) == whole
        names.append([file.name for file in each.shards(MARK)])
    assert names[0] == names[1] and len(names[0]) > 3


def test_a_row_larger_than_a_shard_is_a_shard(cache, monkeypatch):
    monkeypatch.setattr(compaction, "SHARD_BYTES", 1000)
    rows = [(f"{number} " + "long " * 1000, 0, Paraphrase("short")) for number in range(5)]
    cache.add(SETTINGS, rows)
    cache.add(SETTINGS, sorted(rows)[1:3])
    before = content(cache)
    assert compact(cache) == {"files_before": 2, "files_after": 5, "rows": 7} and content(cache) == before


def test_small_shards_do_not_pile_up(cache, whole):
    """With a commit for every two texts there are 200 commits."""
    fill(cache, Upper(), TEXTS, batch_size=2, commit_every_s=0)
    assert content(cache) == whole and len(cache.shards(MARK)) < MANY + 8


def test_those_that_others_left_behind_are_put_together_at_the_end(cache):
    for number in range(MANY):
        cache.add(SETTINGS, [(f"text {number}", 0, Paraphrase("a"))])
    fill(cache, Upper(), TEXTS[: MANY + 1])
    assert len(cache.shards(MARK)) == 1


def test_only_one_at_a_time_tidies(cache):
    for number in range(MANY):
        cache.add(SETTINGS, [(f"text {number}", 0, Paraphrase("a"))])
    with cache.alone(MARK) as first, Cache(str(cache)).alone(MARK) as second:
        assert first and not second
        assert tidy(cache, SETTINGS, MARK) == [] and len(cache.shards(MARK)) == MANY
    assert len(tidy(cache, SETTINGS, MARK)) == 1 and len(cache.shards(MARK)) == 1


def test_while_others_write_read_and_compact(cache, whole):
    """Readers never see fewer rows than they were told of, and never a row twice."""
    fill(cache, Upper(), TEXTS[:100], batch_size=10, commit_every_s=0)
    stop, wrong = threading.Event(), []

    def guarded(work) -> None:
        try:
            while not stop.is_set():
                work(Cache(str(cache)))
        except Exception as error:
            wrong.append(repr(error))

    def read(reader: Cache) -> None:
        keys = [row[1] for row in content(reader)]
        missing_rows = [row for row in lookup(reader, SETTINGS, TEXTS[:100]) if row == [None]]
        if len(keys) < 100 or len(set(keys)) < len(keys) or missing_rows:
            wrong.append((len(keys), len(set(keys)), len(missing_rows)))

    threads = [threading.Thread(target=guarded, args=(work,)) for work in (read, read, compact, compact)]
    for thread in threads:
        thread.start()
    for start in range(100, len(TEXTS), 4):
        fill(cache, Upper(), TEXTS[start : start + 4])
    stop.set()
    for thread in threads:
        thread.join(60)
    assert not wrong and content(cache) == whole and verify(cache)["damaged"] == []
    compact(cache)
    assert content(cache) == whole and len(digest(cache, SETTINGS)) == 32
