"""Which rows a run trains on, is chosen by and is measured on: --label-sampling, --dev, rare classes, repeated rows."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from text_uda.cli.shared_options import CountOrFile

WORDS = ("good great fine best love", "bad poor dull worst not", "movie film plot story actor")


def write(path: Path, sizes: tuple[int, ...], more: tuple[tuple[str, str], ...] = ()) -> Path:
    rows = [
        (f"{WORDS[label % 3].split()[n % 5]} thing number {label} {n}", f"c{label}")
        for label, size in enumerate(sizes)
        for n in range(size)
    ]
    path.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in (*rows, *more)))
    return path


@pytest.fixture
def train(record: Callable[..., Any], tiny_bert: Path, tmp_path: Path) -> Callable[..., tuple[dict, dict]]:
    """Two steps of a head: (result.json, what config.json says of the data)."""

    def call(path: Path, *words: object, out: str = "run") -> tuple[dict, dict]:
        options = ["--encoder", tiny_bert, "--tune", "head", "--steps", 2, "--out", tmp_path / out]
        result = record("train", path, *options, *words)
        return result, json.loads((tmp_path / out / "config.json").read_text())["data"]

    return call


@pytest.mark.parametrize("labels", [3, 12, "all"])
def test_a_class_of_one_row_can_be_trained(train, tmp_path, labels):
    path = write(tmp_path / "rare.jsonl", (50, 50, 1))
    sampling = ["--label-sampling", "proportional"] if labels == 12 else []
    result, data = train(path, "--labels", labels, *sampling)
    expected = {3: [1, 1, 1], 12: [6, 5, 1], "all": [32, 32, 1]}[labels]
    assert Counter(data["labels_per_class"]) == Counter(expected) and data["labels_per_class"][2] == 1
    assert data["label_sampling"] == {3: "balanced", 12: "proportional", "all": None}[labels]
    assert data["labeled"] == sum(expected) and data["test"] == 20 and sum(map(sum, result["confusion"])) == 20
    assert data["dev"] == {3: 3, 12: 12, "all": 16}[labels]


def test_the_sampling_of_all_labels_is_refused(refused, tmp_path):
    path = write(tmp_path / "a.jsonl", (50, 50))
    words = ("--labels", "all", "--label-sampling", "proportional", "--out", tmp_path / "run")
    assert "ignores --label-sampling proportional; omit it" in refused("train", path, *words)


def test_labels_that_a_rare_class_does_not_have_say_what_to_do(refused, tmp_path):
    path = write(tmp_path / "rare.jsonl", (50, 50, 1))
    line = refused("train", path, "--labels", 12, "--out", tmp_path / "run")
    assert "class 'c2'" in line and "use at most 3, or draw" in line and "--label-sampling proportional" in line


def test_development_rows_by_number_and_from_a_file(train, refused, tmp_path):
    path = write(tmp_path / "a.jsonl", (60, 60))
    own = write(tmp_path / "dev.jsonl", (), tuple((f"new good {n}", f"c{n % 2}") for n in range(7)))
    _, drawn = train(path, "--labels", 6, "--dev", 9, out="number")
    _, default = train(path, "--labels", 6, out="default")
    _, read = train(path, "--labels", 6, "--dev", own, out="file")
    assert (drawn["dev"], default["dev"], read["dev"]) == (9, 6, 7)
    assert (drawn["unlabeled"], default["unlabeled"], read["unlabeled"]) == (81, 84, 90)
    assert len({drawn["digest"], default["digest"], read["digest"]}) == 3
    assert drawn["test_digest"] == default["test_digest"] == read["test_digest"]
    assert "nowhere.jsonl cannot be read" in refused(
        "train", path, "--labels", 6, "--dev", "nowhere.jsonl", "--out", "x"
    )


@pytest.mark.parametrize("value", ["0", "-3"])
def test_no_development_rows_are_no_number(value):
    with pytest.raises(Exception, match="not in the range"):
        CountOrFile().convert(value, None, None)


def test_what_a_run_reads_is_told(run, tiny_bert, tmp_path):
    path = write(tmp_path / "rare.jsonl", (50, 50, 1))
    words = ["--label-sampling", "proportional", "--encoder", tiny_bert, "--tune", "head", "--steps", 1]
    said = run("train", path, "--labels", 12, *words, "--out", tmp_path / "run")
    assert "12 labeled, 57 unlabeled, 12 dev, 20 test texts\nlabeled: c0 " in said.stdout and "c2 1\n" in said.stdout


def test_repeated_rows_count_and_are_told(train, record, run, tmp_path):
    path = write(tmp_path / "a.jsonl", (60, 60))
    test = write(
        tmp_path / "test.jsonl", (), (*[("a dull film", "c1")] * 5, ("a good one", "c0"), ("a dull film", "c0"))
    )
    result, data = train(path, "--labels", 6, "--test", test)
    assert data["test"] == 7 and [sum(row) for row in result["confusion"]] == [2, 5]
    again = record("evaluate", tmp_path / "run", path, "--test", test)
    assert (again["rows"], again["repeated_rows"]) == (7, 5) and again["test_error"] == pytest.approx(
        result["test_error"]
    )
    assert again["last_test_error"] == result["last_test_error"]
    said = run("evaluate", tmp_path / "run", path, "--test", test).stdout
    assert f"all 7 labeled rows of {test}" in said and "5 rows repeat a text, and count" in said


def test_all_rows_of_a_file_are_evaluated_as_they_stand(train, record, tmp_path):
    path = write(tmp_path / "a.jsonl", (60, 60))
    train(path, "--labels", 6)
    more = tuple(("good thing number 0 0", "c0") for _ in range(9))
    found = record("evaluate", tmp_path / "run", write(tmp_path / "b.jsonl", (30, 40), more), "--rows", "all")
    assert (found["rows"], found["repeated_rows"]) == (79, 9) and [sum(row) for row in found["confusion"]] == [39, 40]


def test_data_says_what_no_training_reads(record, run, tmp_path):
    path = write(tmp_path / "a.jsonl", (60, 60), (("new", "c0"), ("new", "c0"), ("new", "c1")))
    test = write(tmp_path / "test.jsonl", (), (("New!", "c1"),))
    assert record("data", path, "--test", test)["unused"] == 3
    assert "unused     3 rows" in run("data", path, "--test", test).stdout
