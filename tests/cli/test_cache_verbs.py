"""`text-uda cache`."""

import json
from pathlib import Path

import pytest

from translation_cache import Cache, Paraphrase

SETTINGS = {"method": "synonym", "version": 1, "seed": 0, "unit": "text"}
ROWS = [
    ("a good film", 0, Paraphrase(text="a fine film", scores={"change_rate": 0.33})),
    ("a \x1b[31mbad\x1b[0m film", 0, Paraphrase(text="a poor film", pivot="una mala\npelícula")),
    ("same", 0, Paraphrase(text=None, status="unchanged")),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    cache = Cache(tmp_path / "cache")
    for row in ROWS:
        cache.add(SETTINGS, [row])
    return tmp_path / "cache"


def test_stats(run, record, folder):
    found = record("cache", "stats", folder)
    assert (found["rows"], found["ok"], found["rejected"]) == (3, 2, {"unchanged": 1})
    assert len(found["settings"]) == 1
    shown = run("cache", "stats", folder).stdout
    assert shown.startswith("3 rows, 2 ok (66.7%)") and "rejected: unchanged 1" in shown
    assert "seed 0" in shown and "words changed 0.330" in shown and "copies of the source 0.0%" in shown


def test_show_marks_changed_words_and_escapes_the_rest(run, folder):
    shown = run("cache", "show", folder).stdout
    assert "a [-good-]{+fine+} film" in shown
    assert "\x1b" not in shown and r"\x1b[31m" in shown and r"una mala\npelícula" in shown
    assert "same  (unchanged)" in shown


def test_show_filters(run, record, folder):
    assert [row["source"] for row in record("cache", "show", folder, "--query", "good")["rows"]] == ["a good film"]
    assert len(record("cache", "show", folder, "--limit", 1)["rows"]) == 1
    assert run("cache", "show", folder, "--query", "nowhere").stdout == "no row matches\n"


def test_verify(run, record, folder):
    found = record("cache", "verify", folder)
    assert (found["shards"], found["rows"], found["damaged"]) == (3, 3, [])
    shard = next(folder.rglob("*.parquet"))
    shard.write_bytes(b"PAR1" + bytes(20) + b"PAR1")
    result = run("cache", "verify", folder)
    assert result.exit_code == 1 and shard.name in result.stdout


def test_compact_keeps_each_row(record, folder):
    before = record("cache", "stats", folder)["rows"]
    record("cache", "compact", folder)
    assert len(list(folder.rglob("*.parquet"))) == 1
    assert record("cache", "stats", folder)["rows"] == before


def test_merge(record, folder, tmp_path):
    Cache(tmp_path / "other").add(SETTINGS, [("a new text", 0, Paraphrase(text="a fresh text"))])
    record("cache", "merge", tmp_path / "all", folder, tmp_path / "other")
    assert record("cache", "stats", tmp_path / "all")["rows"] == 4


def test_verify_of_a_damaged_file_says_what_to_do_and_the_next_fill_does_it(run, record, reviews, tmp_path):
    folder = tmp_path / "cache"
    words = ["paraphrase", reviews, "--method", "synonym", "--rate", 0.3, "--cache", folder]
    rows = record(*words)["made"]
    shard = next(folder.rglob("*.parquet"))
    shard.write_bytes(shard.read_bytes()[:-1])
    assert "cache verify --set-aside" in run("cache", "verify", folder).stdout
    result = run(*words)
    assert result.exit_code == 0 and f"warning: {folder}/" in result.stderr and "is set aside as" in result.stderr
    assert f"computed {rows}" in result.stdout
    assert (
        record("cache", "verify", folder)["damaged"] == [] and len(record("cache", "stats", folder)["set_aside"]) == 1
    )


def test_what_verify_finds_is_set_aside_when_asked(run, record, folder):
    (folder / next(iter(Cache(folder).fingerprints())) / "notes.txt").write_text("mine")
    result = run("cache", "verify", folder, "--set-aside")
    assert result.exit_code == 1 and "they are set aside" in result.stdout
    assert record("cache", "verify", folder)["damaged"] == []
    assert [name.rpartition("/")[2] for name in record("cache", "stats", folder)["set_aside"]] == ["notes.txt"]


def test_export_makes_the_folder(record, folder, tmp_path):
    assert record("cache", "export", folder, "--out", tmp_path / "new" / "pairs.jsonl")["rows"] == 3


def test_a_store_that_cannot_be_had_is_one_line(refused):
    assert "cannot open gopher://x/y" in refused("cache", "stats", "gopher://x/y")
    assert "unknown option color" in refused("cache", "stats", "s3://bucket/x?color=red")


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_export(record, folder, tmp_path, ending):
    out = tmp_path / f"pairs{ending}"
    record("cache", "export", folder, "--out", out)
    if ending == ".jsonl":
        rows = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    else:
        import pyarrow.parquet as pq

        rows = pq.read_table(out).to_pylist()
    assert len(rows) == 3
    assert all(set(row) == {"source", "sample", "paraphrase", "pivot", "status", "method"} for row in rows)


def test_export_to_an_unknown_kind_of_file(refused, folder, tmp_path):
    for more in ((), ("--min-similarity", 0.5)):
        line = refused("cache", "export", folder, "--out", tmp_path / "pairs.xlsx", *more)
        assert ".jsonl" in line and ".parquet" in line
    assert not (folder / "_scores").exists(), "nothing was encoded"


def test_a_folder_that_is_not_there(refused, tmp_path):
    assert "nowhere" in refused("cache", "stats", tmp_path / "nowhere")


def test_similarity_is_kept_shown_and_a_bound_of_an_export(run, record, folder, tiny_bert, tmp_path):
    found = record("cache", "similarity", folder, "--similarity-encoder", tiny_bert)
    assert found["encoder"] == str(tiny_bert)
    assert found["settings"][0]["paraphrases"] == 2 and 0.9 < found["settings"][0]["similarity"]["50%"] < 1
    assert (
        "2 paraphrases\n  similarity (" in run("cache", "similarity", folder, "--similarity-encoder", tiny_bert).stdout
    )
    rows = record("cache", "show", folder)["rows"]
    assert [list(row.get("similarity", {})) for row in rows] == [[str(tiny_bert)], [str(tiny_bert)], []]
    assert f"    similarity 1.00 ({tiny_bert})" in run("cache", "show", folder).stdout
    options = ("--min-similarity", 1, "--similarity-encoder", tiny_bert)
    assert record("cache", "export", folder, "--out", tmp_path / "pairs.jsonl", *options) == {"rows": 3}
    exported = [json.loads(line)["status"] for line in (tmp_path / "pairs.jsonl").read_text().splitlines()]
    assert exported == ["dissimilar", "dissimilar", "unchanged"]


def test_an_export_with_a_bound_shows_what_it_computes(run, folder, tiny_bert, tmp_path):
    options = ("--min-similarity", 0.5, "--similarity-encoder", tiny_bert)
    first, again = (run("cache", "export", folder, "--out", tmp_path / "pairs.csv", *options) for _ in range(2))
    assert f"similarity ({tiny_bert}): 2/2 pairs" in first.stderr and "2/2" not in again.stderr


def test_an_encoder_of_a_similarity_that_decides_nothing(refused, folder, tmp_path):
    words = refused("cache", "export", folder, "--out", tmp_path / "pairs.csv", "--similarity-encoder", "x")
    assert "--similarity-encoder decides only with --min-similarity" in words
