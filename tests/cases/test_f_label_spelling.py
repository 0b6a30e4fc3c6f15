"""Case F: a class has one name over the spellings of formats."""

import datetime
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, Features, Value

from text_uda.data import load
from text_uda.data.evaluation_rows import file_rows
from text_uda.data.hub import from_parts
from text_uda.data.label_spelling import class_finder
from text_uda.data.labeled_rows import collect
from text_uda.errors import DataError


def write(path: Path, labels: list[Any]) -> Path:
    rows = [(f"text number {n}", labels[n % len(labels)]) for n in range(60)]
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows))
    elif path.suffix == ".parquet":
        pq.write_table(pa.table({"text": [text for text, _ in rows], "label": [label for _, label in rows]}), path)
    else:
        path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    return path


@pytest.mark.parametrize(
    ("name", "labels", "classes"),
    [
        ("float.csv", ["0.0", "1.0"], ("0", "1")),
        ("int.jsonl", [0, 1], ("0", "1")),
        ("float.jsonl", [0.0, 1.0], ("0", "1")),
        ("float.parquet", [0.0, 1.0], ("0", "1")),
        ("bool.jsonl", [True, False], ("False", "True")),
        ("bool.csv", ["TRUE", "FALSE"], ("False", "True")),
        ("bool.parquet", [True, False], ("False", "True")),
        ("ratings.csv", ["1.0", "1.5"], ("1.0", "1.5")),
        ("versions.csv", ["1.0", "1.1", "1.10"], ("1.0", "1.1", "1.10")),
        ("codes.csv", ["01", "1", "02"], ("01", "1", "02")),
        ("liar.csv", ["true", "false", "half-true"], ("false", "half-true", "true")),
        ("date.parquet", [datetime.date(2020, 1, 1), datetime.date(2020, 1, 2)], ("2020-01-01", "2020-01-02")),
    ],
)
def test_one_name_in_every_format(tmp_path: Path, caplog, name: str, labels: list[Any], classes: tuple[str, ...]):
    assert load(write(tmp_path / name, labels)).classes == classes
    assert not caplog.records


@pytest.mark.parametrize(
    ("name", "labels", "classes", "joined"),
    [
        ("a.csv", ["0", "1", "0.0", "1.0"], ("0", "1"), "labels '0' (row 2 and 14 more) and '0.0' (row 4 and 14 more)"),
        ("a.jsonl", [1, 0, "1.0"], ("0", "1"), "labels '1' (row 1 and 19 more) and '1.0' (row 3 and 19 more)"),
        ("b.jsonl", [True, "true", False], ("False", "True"), "labels 'True' (row 1 and 19 more) and 'true' (row 2"),
        ("c.jsonl", [True, 1, 0, False], ("0", "1"), "labels 'True' (row 1 and 14 more) and '1' (row 2"),
    ],
)
def test_spellings_in_one_file_are_joined_aloud(tmp_path: Path, caplog, name, labels, classes, joined):
    corpus = load(write(tmp_path / name, labels))
    assert corpus.classes == classes and len(corpus.train) + len(corpus.test) == 60
    assert joined in caplog.text


def test_labels_that_differ_only_by_case(tmp_path: Path, caplog):
    assert load(write(tmp_path / "a.csv", ["Positive", "positive ", "bad"])).classes == ("Positive", "bad", "positive")
    assert (
        "labels 'Positive' (row 2 and 19 more) and 'positive' (row 3 and 19 more) differ only by case or blanks"
        in caplog.text
    )


@pytest.mark.parametrize(
    ("classes", "label", "expected"),
    [
        (("0", "1"), "1.0", "1"),
        (("0.0", "1.0"), "0", "0.0"),
        (("False", "True"), "true", "True"),
        (("0", "1"), "True", "1"),
        (("False", "True"), "0", "False"),
        (("0", "1", "2"), "True", None),
        (("1.1", "1.10"), "1.1", "1.1"),
        (("a", "b"), "A", None),
    ],
)
def test_labels_of_another_file(classes: tuple[str, ...], label: str, expected: str | None):
    assert class_finder(classes)(label) == expected


def test_a_test_file_in_another_spelling(tmp_path: Path, caplog):
    test = write(tmp_path / "test.csv", ["1.0", "0.0"])
    assert load(write(tmp_path / "a.jsonl", [0, 1]), test=test).test.labels == (1, 0) * 30
    test = write(tmp_path / "test.csv", ["true", "false"])
    assert load(write(tmp_path / "a.jsonl", [0, 1]), test=test).test.labels == (1, 0) * 30
    assert "label 'true' is read as the class '1'" in caplog.text
    with pytest.raises(DataError, match=r"row 2: label 'Good' is not one of the classes \(bad, good\), but 'good' is"):
        load(write(tmp_path / "a.jsonl", ["good", "bad"]), test=write(tmp_path / "test.csv", ["Good", "bad"]))


@pytest.mark.parametrize("names", [["0.0", "1.0"], ["0", "1"]])
def test_evaluating_a_run_with_classes_of_another_format(tmp_path: Path, names: list[str]):
    """A run of an earlier version has the classes 0.0 and 1.0."""
    for name, labels in (("a.jsonl", [0, 1]), ("a.csv", ["0.0", "1.0"])):
        path = write(tmp_path / name, labels)
        assert file_rows(path, names, part="test").rows.labels == load(path).test.labels


@pytest.mark.parametrize("name", ["a.parquet", "saved"])
def test_names_of_classes_that_datasets_stored(tmp_path: Path, name: str):
    features = Features(text=Value("string"), label=ClassLabel(names=["neg", "pos"]))
    rows = Dataset.from_list([{"text": f"text {n}", "label": n % 2} for n in range(40)], features=features)
    rows.to_parquet(tmp_path / name) if name == "a.parquet" else rows.save_to_disk(tmp_path / name)
    assert load(tmp_path / name).classes == ("neg", "pos")


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["true", "false", "unknown"], ("false", "true", "unknown")),
        (["1.0", "1.5", "2.0"], ("1.0", "1.5", "2.0")),
    ],
)
def test_rows_beside_data_with_a_part_of_its_classes(tmp_path: Path, labels: list[str], classes: tuple[str, ...]):
    """true and false, 1.0 and 2.0 have another spelling without the third class."""
    data = write(tmp_path / "a.csv", labels)
    beside = tmp_path / "beside.csv"
    beside.write_text(f"text,label\none more,{labels[0]}\nlast one,{labels[-1 if labels[0] == '1.0' else 1]}\n")
    numbers = (classes.index(labels[0]), classes.index(labels[-1 if labels[0] == "1.0" else 1]))
    assert load(data, test=beside).classes == classes
    assert load(data, test=beside).test.labels == numbers
    dev = load(data, dev=beside).dev
    assert dev is not None
    assert dev.labels == numbers
    assert file_rows(beside, classes, part="all").rows.labels == numbers


def test_a_label_that_is_no_class_gets_no_number():
    labeled = collect([(1, "a", "good"), (7, "b", "bad")])
    with pytest.raises(DataError, match=r"label 'bad' \(row 7\) is none of the classes \(good, fine\)"):
        labeled.rows(["good", "fine"])


@pytest.mark.parametrize("names", [["false", "true"], ["0.0", "1.0"], [" no", "yes "]])
def test_names_of_a_class_label_stay(names: list[str]):
    features = Features(text=Value("string"), label=ClassLabel(names=names))
    rows = Dataset.from_list([{"text": f"text {n}", "label": n % 2} for n in range(40)], features=features)
    other = Dataset.from_list([{"text": f"other {n}", "label": n % 2} for n in range(4)], features=features)
    classes = tuple(name.strip() for name in names)
    for corpus in (
        load(rows),
        load({"train": rows, "test": other}),
        from_parts("hub", {"train": rows, "test": other}, text=None, label=None, description=""),
    ):
        assert corpus.classes == classes
        assert set(corpus.train.labels) == set(corpus.test.labels) == {0, 1}
