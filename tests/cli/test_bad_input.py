"""Each bad input of a user: one clear line that says where and what to do, code 2, nothing lost."""

import errno
import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from text_uda.runs.run_files import FORMAT, MARKER

ROWS = [(f"review number {n} is {word}", word) for n in range(20) for word in ("bad", "fine", "good")]


def write(path: Path, rows=ROWS, header: str = "text\tlabel") -> Path:
    path.write_text(header + "\n" + "".join(f"{text}\t{label}\n" for text, label in rows), encoding="utf-8")
    return path


@pytest.fixture
def train(refused, tmp_path):
    """`text-uda train` on a file; it has to be refused before a run directory is made."""

    def call(path: Path, *words: object) -> str:
        labels = () if "--labels" in words else ("--labels", 6)
        line = refused("train", path, *labels, "--out", tmp_path / "run", *words)
        assert not (tmp_path / "run").exists()
        return line

    return call


def test_missing_column_names_the_columns_there(train, tmp_path):
    path = write(tmp_path / "a.tsv", header="body\tverdict")
    line = train(path, "--text-column", "review", "--label-column", "verdict")
    assert "a.tsv" in line and "review" in line and "body" in line and "verdict" in line


def test_ambiguous_columns_name_the_options(train, tmp_path):
    line = train(write(tmp_path / "a.tsv", header="x\ty"))
    assert "a.tsv" in line and "--text-column" in line.replace("text_column", "--text-column")


def test_label_outside_the_set(train, tmp_path):
    test = write(tmp_path / "test.tsv", [("a fine text", "fine"), ("a strange text", "superb")])
    line = train(write(tmp_path / "a.tsv"), "--test", test)
    assert "test.tsv" in line and "3" in line and "superb" in line


def test_label_that_the_run_does_not_know(refused, tmp_path):
    path = write(tmp_path / "a.tsv", [*ROWS, *((f"so superb {n}", "superb") for n in range(20))])
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_text(json.dumps({"data": {"name": "a", "classes": ["bad", "fine", "good"]}}))
    line = refused("evaluate", run, path, "--rows", "all")
    assert "superb" in line and "bad, fine, good" in line and "--label-column" in line


def test_undecodable_bytes(train, tmp_path):
    path = tmp_path / "a.tsv"
    path.write_bytes(b"text\tlabel\na fine text\tfine\nna\xefve\tbad\n")
    line = train(path)
    assert "a.tsv" in line and "3" in line and "UTF-8" in line


def test_empty_file(train, tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"")
    line = train(path)
    assert "a.csv" in line and "empty" in line


def test_header_without_rows(train, tmp_path):
    assert "a.tsv" in train(write(tmp_path / "a.tsv", []))


@pytest.mark.parametrize("text", ["", "  \u00a0 "])
def test_empty_or_blank_text(train, tmp_path, text):
    line = train(write(tmp_path / "a.tsv", [*ROWS[:4], (text, "bad"), *ROWS[4:]]))
    assert "a.tsv" in line and "6" in line and ("empty" in line or "blank" in line)


def test_neither_a_number_of_labels_nor_all(refused, tmp_path):
    line = refused("train", write(tmp_path / "a.tsv"), "--labels", "most", "--out", tmp_path / "run")
    assert "'most' is neither a number nor all" in line


@pytest.mark.parametrize("option", ["--alignment", "--class-weights"])
def test_numbers_for_other_classes_than_there_are(option, train, tmp_path):
    objective = ("--objective", "uda", "--augment", "cutoff") if option == "--alignment" else ()
    line = train(write(tmp_path / "a.tsv"), *objective, option, "0.5,0.5")
    assert f"{option} has 2 numbers and the data 3 classes" in line and "in this order: bad, fine, good" in line


def test_more_labels_than_there_are(train, tmp_path):
    line = train(write(tmp_path / "a.tsv"), "--labels", 3000)
    assert "3000" in line.replace(",", "") and "bad" in line


def test_no_such_file_names_what_is_near(train):
    assert "movie-snippets" in train(Path("movie-snipets"))


def test_a_text_of_100_000_characters_works(record, tmp_path):
    long = "It was a good film and a bad book. " * 2858
    path = write(tmp_path / "a.tsv", [*ROWS, (long[:100_000], "good")])
    made = record("paraphrase", path, "--method", "synonym", "--cache", tmp_path / "cache", "--seed", 1)
    assert made["made"] == made["requested"] > 0


def test_cache_made_with_other_settings_says_which(refused, record, tmp_path):
    path, cache = write(tmp_path / "a.tsv"), tmp_path / "cache"
    record("paraphrase", path, "--method", "synonym", "--cache", cache, "--seed", 1)
    before = sorted(cache.rglob("*"))
    line = refused("train", path, "--labels", 6, "--augment", "synonym", "--cache", cache, "--out", tmp_path / "run")
    assert "seed" in line and "1" in line and "0" in line
    assert sorted(cache.rglob("*")) == before and not (tmp_path / "run").exists()


def test_cache_that_is_a_file_or_holds_other_things(refused, tmp_path):
    path = write(tmp_path / "a.tsv")
    assert "a.tsv" in refused("paraphrase", path, "--method", "synonym", "--cache", path)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("")
    assert "thesis" in refused("paraphrase", path, "--method", "synonym", "--cache", tmp_path / "thesis")


def test_damaged_cache_is_never_read_as_data(run, refused, record, tmp_path):
    path, cache = write(tmp_path / "a.tsv"), tmp_path / "cache"
    record("paraphrase", path, "--method", "synonym", "--cache", cache)
    shard = next(cache.rglob("*.parquet"))
    shard.write_bytes(shard.read_bytes()[:-40])
    line = refused("train", path, "--labels", 6, "--augment", "synonym", "--cache", cache, "--out", tmp_path / "run")
    assert shard.name in line and "cache verify" in line
    result = run("cache", "verify", cache, "--json")
    assert result.exit_code == 1
    assert shard.name in str(json.loads(result.stdout)["damaged"])


@pytest.fixture
def echo(tmp_path, monkeypatch):
    """A finished run whose labels are the texts."""
    monkeypatch.setattr(
        import_module("text_uda.runs.prediction"), "predict", lambda run, texts, **_: [{"label": t} for t in texts]
    )
    (tmp_path / "run" / "model").mkdir(parents=True)
    for name, content in (("config.json", {MARKER: FORMAT}), ("result.json", {})):
        (tmp_path / "run" / name).write_text(json.dumps(content))
    return tmp_path / "run"


@pytest.mark.parametrize(
    ("stdin", "said"),
    [
        (b"", "empty"),
        (b"PAR1\x15\x04", "Parquet"),
        (b"\xff\xfeg\0", "UTF-16"),
        (b"good\nna\xefve\n", "line 2: byte 3 (0xef) is not UTF-8"),
    ],
)
def test_predict_names_the_line_after_it_answered_the_earlier_ones(refused, echo, stdin, said):
    assert said in refused("predict", echo, input=stdin)


def test_predict_reads_texts_without_byte_order_mark_and_line_ends(run, echo):
    result = run("predict", echo, input="\ufeffgood \r\nbad\ufeff\n".encode())
    assert [json.loads(line)["label"] for line in result.stdout.splitlines()] == ["good ", "bad\ufeff"]


def test_no_run_directory(refused, tmp_path):
    path = write(tmp_path / "a.tsv")
    assert str(tmp_path) in refused("evaluate", tmp_path, path)
    assert str(tmp_path) in refused("predict", tmp_path, input="good\n")
    assert "nowhere" in refused("evaluate", tmp_path / "nowhere", path)


def test_full_disk_while_the_cache_is_filled(refused, record, tmp_path, monkeypatch):
    path, cache = write(tmp_path / "a.tsv"), tmp_path / "cache"

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        line = refused("paraphrase", path, "--method", "synonym", "--cache", cache)
    assert "full" in line
    assert not list(cache.rglob("*.parquet"))
    made = record("paraphrase", path, "--method", "synonym", "--cache", cache)
    assert made["made"] == made["requested"] and record("cache", "verify", cache)["damaged"] == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_under_a_run(refused, tmp_path, monkeypatch, number):
    def full(*_args, **_options):
        try:
            raise OSError(number, os.strerror(number), str(tmp_path / "run" / "model"))
        except OSError as error:
            raise RuntimeError("could not serialise") from error

    monkeypatch.setattr(import_module("text_uda.training.train_classifier"), "train", full)
    line = refused("train", write(tmp_path / "a.tsv"), "--labels", 6, "--out", tmp_path / "run")
    assert "full" in line and "run/model" in line


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_under_standard_output():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "text_uda.cli", "data", "--json"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "full" in done.stderr
