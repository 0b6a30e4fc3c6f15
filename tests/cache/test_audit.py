"""Looking at a cache, and putting it into another shape."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from contents import content
from datasets import Dataset
from jobs import Upper

from translation_cache import (
    Cache,
    CacheError,
    Paraphrase,
    export,
    fill,
    fingerprint,
    merge,
    show,
    stats,
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
    assert entry["copy_rate"] == pytest.approx(1 / 5) and entry["yield"] == pytest.approx(2 / 5)
    assert entry["change_rate"] == 0.5 and entry["length_ratio"] is None and entry["bytes"] == found["bytes"] > 0


def test_show(filled: Cache):
    assert [row["source"] for row in show(filled, 10, query="OO")] == ["good"]
    assert len(show(filled, 2)) == 2 and len(show(filled, 10, settings=fingerprint(SETTINGS)[:6])) == 4
    with pytest.raises(CacheError, match="no settings"):
        show(filled, 1, settings="ffff")


def test_merge_is_the_union(tmp_path: Path):
    one, other, both = (Cache(tmp_path / name) for name in ("one", "other", "both"))
    fill(one, Upper(), TEXTS[:3])
    fill(other, Upper(), TEXTS[1:])
    fill(other, Upper(seed=1), TEXTS)
    merge(both, one, other)
    assert content(both) == sorted({*content(one), *content(other)})
    assert merge(both, one)["files"] == 0


READ = {
    ".jsonl": lambda out: [json.loads(line) for line in out.read_text().splitlines()],
    ".parquet": lambda out: pq.read_table(out).to_pylist(),
    ".arrow": lambda out: Dataset.from_file(str(out)).to_list(),
}


@pytest.mark.parametrize("ending", READ)
def test_export(filled: Cache, tmp_path: Path, ending: str):
    out = tmp_path / f"pairs{ending}"
    assert export(filled, out) == {"rows": 4}
    rows = READ[ending](out)
    assert {row["source"]: row["paraphrase"] for row in rows}["good"] == "GOOD 0"
    assert set(rows[0]) == {"source", "sample", "paraphrase", "pivot", "status", "method"}


def test_export_is_whole_or_absent(filled: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(json, "dumps", lambda *_args, **_options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export(filled, tmp_path / "pairs.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]
