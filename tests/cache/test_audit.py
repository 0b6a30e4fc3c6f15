"""Looking at a cache, and putting it into another shape."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import content
from jobs import Upper

from translation_cache import (
    Cache,
    CacheError,
    Paraphrase,
    compact,
    export,
    fill,
    fingerprint,
    merge,
    show,
    stats,
    verify,
)

TEXTS = ["good", "xbad", "fine", "xdull"]
SETTINGS = Upper().settings()


@pytest.fixture
def filled(cache: Cache) -> Cache:
    fill(cache, Upper(), TEXTS, batch_size=1, commit_bytes=1)
    return cache


def test_stats(filled: Cache):
    filled.add(SETTINGS, [("same", 0, Paraphrase("same", "unchanged"))])
    found = stats(filled)
    assert (found["rows"], found["ok"], found["rejected"]) == (5, 2, {"unchanged": 3})
    entry = found["settings"][0]
    assert entry["fingerprint"] == fingerprint(SETTINGS) and entry["method"] == "upper"
    assert entry["copy_rate"] == pytest.approx(1 / 5) and entry["change_rate"] == 0.5 and entry["bytes"] > 0


def test_verify_names_what_is_wrong(filled: Cache):
    assert verify(filled) == {"shards": 4, "rows": 4, "damaged": []}
    folder = filled.folder(SETTINGS)
    shards = filled.shards(fingerprint(SETTINGS))
    shards[0].write_bytes(b"")
    (folder / "notes.txt").write_text("mine")
    (folder / "_settings.json").write_text("{}")
    damaged = {Path(entry["file"]).name for entry in verify(filled)["damaged"]}
    assert damaged == {shards[0].name, "notes.txt", "_settings.json"}


def test_verify_finds_forged_rows(filled: Cache):
    """A file with the right name and columns, whose keys are not those of its texts."""
    from translation_cache.shard import write_shard

    table = pq.read_table(filled.shards(fingerprint(SETTINGS))[0])
    sources = table.column("source").combine_chunks().to_pylist()
    forged = table.set_column(2, table.schema.field("source"), [[source + "!" for source in sources]])
    path = write_shard(filled.folder(SETTINGS), forged)
    assert [Path(entry["file"]).name for entry in verify(filled)["damaged"]] == [path.name]


def test_show(filled: Cache):
    assert [row["source"] for row in show(filled, 10, query="OO")] == ["good"]
    assert len(show(filled, 2)) == 2 and len(show(filled, 10, settings=fingerprint(SETTINGS)[:6])) == 4
    with pytest.raises(CacheError, match="no settings"):
        show(filled, 1, settings="ffff")


def test_compact_keeps_every_row_in_one_file(filled: Cache):
    before = content(filled)
    assert compact(filled) == {"files_before": 4, "files_after": 1, "rows": 4}
    assert content(filled) == before and len(filled.shards(fingerprint(SETTINGS))) == 1
    assert compact(filled)["files_before"] == 1 and content(filled) == before


def test_compact_writes_before_it_removes(filled: Cache, monkeypatch: pytest.MonkeyPatch):
    before = content(filled)

    def killed(*_args, **_options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            compact(filled)
    assert content(filled) == before


def test_merge_is_the_union(tmp_path: Path):
    one, other, both = (Cache(tmp_path / name) for name in ("one", "other", "both"))
    fill(one, Upper(), TEXTS[:3])
    fill(other, Upper(), TEXTS[1:])
    fill(other, Upper(seed=1), TEXTS)
    merge(both, one, other)
    assert content(both) == sorted({*content(one), *content(other)})
    assert merge(both, one)["files"] == 0


@pytest.mark.parametrize("name", ["pairs.jsonl", "pairs.parquet"])
def test_export(filled: Cache, tmp_path: Path, name: str):
    out = tmp_path / name
    assert export(filled, out) == {"rows": 4}
    rows = (
        pq.read_table(out).to_pylist()
        if name.endswith("parquet")
        else [json.loads(x) for x in out.read_text().splitlines()]
    )
    assert {row["source"]: row["paraphrase"] for row in rows}["good"] == "GOOD 0"
    assert set(rows[0]) == {"source", "sample", "paraphrase", "pivot", "status", "method"}


def test_export_is_whole_or_absent(filled: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(json, "dumps", lambda *_args, **_options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export(filled, tmp_path / "pairs.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]
