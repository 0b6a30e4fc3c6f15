"""Damaged and foreign files: named, never read as data, set aside by the next fill, which makes their rows again."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from contents import content
from jobs import Upper

from translation_cache import (
    Cache,
    compact,
    digest,
    export,
    fill,
    fingerprint,
    lookup,
    merge,
    missing,
    show,
    stats,
    verify,
)
from translation_cache.key import content_digest
from translation_cache.shard import SCHEMA

TEXTS = [f"text {number}" for number in range(30)]
SETTINGS = Upper().settings()
MARK = fingerprint(SETTINGS)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    fill(Cache(folder / "cache"), Upper(), TEXTS, batch_size=10, commit_bytes=1)
    fill(Cache(folder / "cache"), Upper(seed=1), TEXTS)
    return folder / "cache"


def named_by_content(folder: Path, data: bytes) -> Path:
    """A file that is what its name says, whatever that is."""
    path = folder / f"{content_digest(data)}.parquet"
    path.write_bytes(data)
    return path


def truncated(shard: Path) -> Iterator[Path]:
    data = shard.read_bytes()
    for length in [0, 1, 3, 4, 8, *range(16, len(data), 211), len(data) - 8, len(data) - 1]:
        shard.write_bytes(data[:length])
        yield shard


def flipped(shard: Path) -> Iterator[Path]:
    data = shard.read_bytes()
    for place in range(0, len(data), 97):
        shard.write_bytes(data[:place] + bytes([data[place] ^ (1 << place % 8)]) + data[place + 1 :])
        yield shard


def longer(shard: Path) -> Iterator[Path]:
    shard.write_bytes(shard.read_bytes() + b"\0")
    yield shard


def renamed(shard: Path) -> Iterator[Path]:
    yield shard.rename(shard.with_name("0" * 32 + ".parquet"))


def of_other_columns(shard: Path) -> Iterator[Path]:
    table = pq.read_table(shard)
    for other in (table.select(["source"]), table.rename_columns([name.upper() for name in table.column_names])):
        sink = pa.BufferOutputStream()
        pq.write_table(other, sink)
        shard.unlink()
        shard = named_by_content(shard.parent, sink.getvalue().to_pybytes())
        yield shard


def no_parquet(shard: Path) -> Iterator[Path]:
    for data in (b"", b"PAR1" + bytes(100) + b"PAR1", b"hello", b"PAR1" + b"\xff" * 60 + b"\xff\xff\xff\x7fPAR1"):
        shard.unlink()
        shard = named_by_content(shard.parent, data)
        yield shard


def of_other_settings(shard: Path) -> Iterator[Path]:
    other = next((shard.parents[1] / fingerprint(Upper(seed=1).settings())).glob("*.parquet"))
    shard.unlink()
    yield named_by_content(shard.parent, other.read_bytes())


DAMAGE = [truncated, flipped, longer, renamed, of_other_columns, no_parquet, of_other_settings]


@pytest.mark.parametrize("damage", DAMAGE)
def test_it_is_named_and_no_row_of_it_is_read(
    sound: Path, tmp_path: Path, damage: Callable, caplog: pytest.LogCaptureFixture
):
    import shutil

    right = set(content(Cache(sound)))
    shutil.copytree(sound, tmp_path / "cache")
    victim = sorted((tmp_path / "cache" / MARK).glob("*.parquet"))[1]
    lost = {row["source"] for row in pq.read_table(victim, columns=["source"]).to_pylist()}
    kinds = 0
    for damaged in damage(victim):
        kinds += 1
        caplog.clear()
        cache = Cache(tmp_path / "cache")
        found = set(content(cache))
        assert found < right and len(right - found) == len(lost)
        (warning,) = caplog.records
        assert warning.levelno == logging.WARNING and damaged.name in warning.getMessage()
        assert [Path(entry["file"]).name for entry in verify(cache)["damaged"]] == [damaged.name]
        if kinds > 3:
            continue  # the rest would only take time
        assert {row["source"] for row in missing(cache, SETTINGS, TEXTS).rows.to_pylist()} == lost
        assert sum(row == [None] for row in lookup(cache, SETTINGS, TEXTS)) == len(lost)
        assert (
            stats(cache)["rows"] == len(found) == len(show(cache, 1000)) == export(cache, tmp_path / "x.jsonl")["rows"]
        )
        assert len(digest(cache, SETTINGS)) == 32
        other = Cache(tmp_path / f"merged-{kinds}")
        merge(other, cache)
        assert set(content(other)) == found
        compact(other)
        assert set(content(other)) == found
    assert kinds and damaged.exists(), "looking moves nothing"
    damaged_bytes = damaged.read_bytes()
    cache = Cache(tmp_path / "cache")
    assert fill(cache, Upper(), TEXTS).computed == len(lost)
    assert set(content(cache)) == right and verify(cache)["damaged"] == []
    aside = tmp_path / "cache" / "_set-aside" / MARK / damaged.name
    assert aside.read_bytes() == damaged_bytes and stats(cache)["set_aside"] == [f"{MARK}/{damaged.name}"]
    assert fill(cache, Upper(), TEXTS).computed == 0


def test_compaction_leaves_a_damaged_file_where_it_is(sound: Path, tmp_path: Path):
    cache = Cache(tmp_path / "cache")
    merge(cache, Cache(sound))
    victim = sorted((tmp_path / "cache" / MARK).glob("*.parquet"))[0]
    victim.write_bytes(victim.read_bytes()[:-1])
    before = content(cache)
    compact(cache)
    assert content(cache) == before and victim.exists()


@pytest.mark.parametrize("forged", ["{}", "[]", "", "\xff", '{"method":"forged"}', "[" * 100_000])
def test_settings_that_were_changed_are_not_believed(sound: Path, tmp_path: Path, forged: str, caplog):
    cache = Cache(tmp_path / "cache")
    merge(cache, Cache(sound))
    path = tmp_path / "cache" / MARK / "_settings.json"
    path.write_text(forged, encoding="latin-1")
    assert cache.settings()[MARK] == {} and "_settings.json is damaged" in caplog.text
    assert [Path(entry["file"]).name for entry in verify(cache)["damaged"]] == ["_settings.json"]
    assert stats(cache)["rows"] == 60, "the rows say by themselves which settings they are of"
    compact(cache)
    fill(cache, Upper(), TEXTS)
    assert Cache(tmp_path / "cache").settings()[MARK] == SETTINGS and verify(cache)["damaged"] == []


def test_foreign_files_are_named(sound: Path, tmp_path: Path):
    cache = Cache(tmp_path / "cache")
    merge(cache, Cache(sound))
    (tmp_path / "cache" / MARK / "notes.txt").write_text("mine")
    (tmp_path / "cache" / MARK / "_settings.json").unlink()
    assert {Path(entry["file"]).name for entry in verify(cache)["damaged"]} == {"notes.txt", "_settings.json"}


def test_rows_whose_keys_are_not_those_of_their_texts(sound: Path, tmp_path: Path):
    """A file with the right name, columns and settings."""
    cache = Cache(tmp_path / "cache")
    merge(cache, Cache(sound))
    table = cache.table(MARK, cache.shards(MARK)[0].name)
    forged = pa.array([source + "!" for source in table["source"].to_pylist()])
    name = cache.write(SETTINGS, table.set_column(SCHEMA.get_field_index("source"), SCHEMA.field("source"), forged))
    (entry,) = verify(cache)["damaged"]
    assert Path(entry["file"]).name == name and "the key does not match the source" in entry["reason"]


def test_a_file_that_is_sound_again_is_not_set_aside(sound: Path, tmp_path: Path):
    cache = Cache(tmp_path / "cache")
    merge(cache, Cache(sound))
    victim = sorted((tmp_path / "cache" / MARK).glob("*.parquet"))[0]
    data = victim.read_bytes()
    victim.write_bytes(data[:-1])
    assert stats(cache)["rows"] < 60, "it was met when it was damaged"
    victim.write_bytes(data)
    assert fill(cache, Upper(), TEXTS).computed == 0 and stats(cache)["rows"] == 60 and stats(cache)["set_aside"] == []


def test_the_second_damaged_file_of_a_name_does_not_overwrite_the_first(sound: Path, tmp_path: Path):
    merge(Cache(tmp_path / "cache"), Cache(sound))
    victim = sorted((tmp_path / "cache" / MARK).glob("*.parquet"))[0]
    data = victim.read_bytes()
    for length in (5, 6):
        victim.write_bytes(data[:length])
        fill(Cache(tmp_path / "cache"), Upper(), TEXTS, batch_size=10, commit_bytes=1)
        merge(Cache(tmp_path / "cache"), Cache(sound))
    aside = (tmp_path / "cache" / "_set-aside" / MARK).iterdir()
    assert sorted(path.stat().st_size for path in aside) == [5, 6]


def test_what_was_found_damaged_is_not_read_in_a_later_look(sound: Path, tmp_path: Path):
    """Its rows are also in another shard, so they are looked for again."""
    cache = Cache(tmp_path / "cache")
    merge(cache, Cache(sound))
    fill(Cache(tmp_path / "other"), Upper(), TEXTS)
    merge(cache, Cache(tmp_path / "other"))
    right = content(cache)
    for victim in sorted((tmp_path / "cache" / MARK).glob("*.parquet"))[:2]:
        data = bytearray(victim.read_bytes())
        data[len(data) // 3] ^= 1
        victim.write_bytes(data)
    assert set(content(cache)) <= set(right)


def test_merging_mends_a_damaged_copy_and_lost_settings(sound: Path, tmp_path: Path):
    cache = Cache(tmp_path / "cache")
    merge(cache, Cache(sound))
    right = content(cache)
    victim = sorted((tmp_path / "cache" / MARK).glob("*.parquet"))[0]
    victim.write_bytes(victim.read_bytes()[:-1])
    (tmp_path / "cache" / MARK / "_settings.json").unlink()
    without = Cache(tmp_path / "without")
    merge(without, Cache(tmp_path / "cache"))
    assert stats(without)["rows"] == 50, "rows whose settings are not known are not dropped"
    assert merge(Cache(tmp_path / "cache"), Cache(sound)) == {"files": 1, "rows": 10}
    assert content(cache) == right and verify(cache)["damaged"] == []


def test_verify_goes_on_past_whatever_it_meets(sound: Path, tmp_path: Path):
    cache = Cache(tmp_path / "cache")
    merge(cache, Cache(sound))
    (tmp_path / "cache" / MARK / "spark.parquet").mkdir()
    (tmp_path / "cache" / "stray.txt").write_text("mine")
    (tmp_path / "cache" / fingerprint({"method": "killed after mkdir"})).mkdir()
    table = cache.table(MARK, cache.shards(MARK)[0].name)
    negative = pa.array([-1] * len(table), pa.int32())
    forged = cache.write(SETTINGS, table.set_column(3, SCHEMA.field("sample"), negative))
    found = {Path(entry["file"]).name for entry in verify(cache)["damaged"]}
    assert found == {"spark.parquet", "stray.txt", forged}
    verify(cache, set_aside=True)
    assert {Path(entry["file"]).name for entry in verify(cache)["damaged"]} == {"stray.txt"}
