"""Compaction: large shards from small ones, by hand and by itself, while others write and read."""

import os
import threading
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
from contents import content
from jobs import Upper

from translation_cache import Cache, Paraphrase, compact, compaction, digest, fill, fingerprint, lookup, shard, verify
from translation_cache.compaction import MIN_SMALL_FILES, compact_small
from translation_cache.shard import SUFFIX

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
    assert content(cache) == whole and len(cache.shards(MARK)) < MIN_SMALL_FILES + 8


def test_those_that_others_left_behind_are_put_together_at_the_end(cache):
    for number in range(MIN_SMALL_FILES):
        cache.add(SETTINGS, [(f"text {number}", 0, Paraphrase("a"))])
    fill(cache, Upper(), TEXTS[: MIN_SMALL_FILES + 1])
    assert len(cache.shards(MARK)) == 1


def test_only_one_at_a_time_tidies(cache):
    for number in range(MIN_SMALL_FILES):
        cache.add(SETTINGS, [(f"text {number}", 0, Paraphrase("a"))])
    with cache.lock(MARK) as first, Cache(str(cache)).lock(MARK) as second:
        assert first and not second
        assert compact_small(cache, SETTINGS, MARK) == [] and len(cache.shards(MARK)) == MIN_SMALL_FILES
    assert len(compact_small(cache, SETTINGS, MARK)) == 1 and len(cache.shards(MARK)) == 1


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


def test_two_of_different_parquet_versions_cannot_remove_each_others_output(cache, monkeypatch):
    """Both list the same two shards; each writes what the other one's shard says, in other bytes."""
    fill(cache, Upper(), TEXTS[:50])
    before = content(cache)
    compact(cache)
    encode, options = shard.pq.ParquetWriter, {"compression_level": 9}
    monkeypatch.setattr(shard.pq, "ParquetWriter", lambda *a, **o: encode(*a, **o, **options))
    cache.add(SETTINGS, [row for row in _rows(cache)])
    assert len(cache.shards(MARK)) == 2, "the same rows, in other bytes"
    others = Cache(str(cache))
    remove = Cache.remove

    def the_other_first(self, mark, names):
        monkeypatch.setattr(Cache, "remove", remove)
        options["compression_level"] = 1
        compact(others)
        remove(self, mark, names)

    monkeypatch.setattr(Cache, "remove", the_other_first)
    compact(cache)
    assert content(cache) == before


def _rows(cache):
    found = lookup(cache, SETTINGS, TEXTS[:50])
    return [(text, 0, made[0]) for text, made in zip(TEXTS, found, strict=False) if made[0] is not None]


def test_between_writing_and_removing_every_row_stands_twice(cache, whole, monkeypatch):
    """As a compaction leaves it that is killed there; with a row that differs, the same one is read."""
    fill(cache, Upper(), TEXTS, batch_size=100, commit_bytes=1)
    cache.add(SETTINGS, [(f"text {each}", 0, Paraphrase("zzz", "unchanged")) for each in (5, 7)])
    with monkeypatch.context() as patch:
        patch.setattr(Cache, "remove", lambda *_: None)
        compact(cache)
    found = {row[2]: row[4] for row in content(cache)}
    assert len(found) == len(TEXTS) and (found["text 5"], found["text 7"]) == ("TEXT 5 0", "TEXT 7 0")
    compact(cache)
    assert content(cache) == whole and len(cache.shards(MARK)) == 1


def test_shards_that_are_gone_or_empty_parts_are_no_error(cache, monkeypatch):
    monkeypatch.setattr(compaction, "_PART_BYTES", 1)
    cache.add(SETTINGS, [("a", 0, Paraphrase("b"))])
    cache.add(SETTINGS, [("a", 0, Paraphrase("c"))])
    assert compact(cache)["files_after"] == 1
    assert compaction._compact(cache, SETTINGS, MARK, ["0" * 32 + ".parquet"]) == ([], 0)


def test_no_space_to_tidy_is_a_warning_and_the_rows_are_safe(cache, monkeypatch, caplog):
    def full(*_arguments, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pyarrow.ipc.new_file", full)
    fill(cache, Upper(), TEXTS, batch_size=2, commit_every_s=0)
    assert len(cache.shards(MARK)) == 200 and "are not compacted" in caplog.text


def test_what_is_on_disk_before_what(cache, monkeypatch):
    """The file before its name, its name before the acknowledgement, and all of that before an old file goes."""
    import os

    steps = []
    for name in ("fsync", "replace", "unlink"):
        step = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, _step=step, _name=name, **o: (steps.append(_name), _step(*a, **o))[1])
    cache.add(SETTINGS, [("a", 0, Paraphrase("b"))])
    cache.add(SETTINGS, [("a", 0, Paraphrase("c"))])
    steps.clear()
    cache.add(SETTINGS, [("d", 0, Paraphrase("e"))])
    assert steps == ["fsync", "replace", "fsync"]
    steps.clear()
    monkeypatch.setattr(compaction, "scratch_folder", _scratch_that_stays)
    compact(cache)
    assert steps == ["fsync", "replace", "fsync", "unlink", "unlink", "unlink"]


@contextmanager
def _scratch_that_stays():
    import tempfile

    yield Path(tempfile.mkdtemp())


@pytest.mark.parametrize("listed", ["the old shards", "no shard"])
def test_compacted_while_it_is_listed(listed, cache, whole, monkeypatch):
    """What a system may list while names come and go: the old names, or neither the old nor the new ones."""
    fill(cache, Upper(), TEXTS, batch_size=40, commit_every_s=0)
    old, scan = {file.name for file in cache.shards(MARK)}, os.scandir

    def scan_before(path):
        with scan(path) as entries:
            listing = [entry for entry in entries if listed == "the old shards" or not entry.name.endswith(SUFFIX)]
        monkeypatch.undo()
        compact(Cache(str(cache)))
        return nullcontext(iter(listing))

    reader = Cache(str(cache))
    monkeypatch.setattr("translation_cache.storage.os.scandir", scan_before)
    rows = sum(table.num_rows for table in reader.tables(MARK, ["key"]))
    assert len(old) > 1 and not old & {file.name for file in cache.shards(MARK)}
    assert rows == len(whole) and content(cache) == whole
