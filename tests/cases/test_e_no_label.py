"""Case E: conventions for "no label" are refused or named, never a class in silence."""

import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from text_uda.data import load
from text_uda.data.files import read_labeled
from text_uda.data.hub import from_parts
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


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
@pytest.mark.parametrize("missing", [math.nan, None])
def test_nan_and_null_are_no_label(tmp_path: Path, name: str, missing: float | None, caplog):
    path = write(tmp_path / name, [0.0, 1.0, missing])
    if missing is None:
        corpus = load(path)
        assert corpus.classes == ("0", "1") and len(corpus.unlabeled) == 20
        assert f"{name}: 20 of 60 rows have no label (the first is row 3): they are unlabeled texts" in caplog.text
    else:
        with pytest.raises(DataError, match=rf"{name}, row 3: no label in 'label'"):
            load(path)
    read = read_labeled(path, text_column=None, label_column=None, blank_labels="unlabeled")
    if missing is None:
        assert [label for _, _, label in read][:6] == ["0", "1", None, "0", "1", None]
    else:
        with pytest.raises(DataError, match=rf"{name}, row 3: no label in 'label' \(it is NaN\)"):
            list(read)


@pytest.mark.parametrize("word", ["nan", "NA", "None"])
def test_words_for_no_label(tmp_path: Path, caplog, word: str):
    assert load(write(tmp_path / "words.csv", ["good", "bad", word])).classes == (*sorted((word, "bad", "good")),)
    assert f"label {word!r} (row 4 and 19 more) is read as a class of this name" in caplog.text
    with pytest.raises(DataError, match=rf"numbers\.csv: label {word!r} \(row 4 and 19 more\) stands among numbers"):
        load(write(tmp_path / "numbers.csv", ["0", "1", word]))


@pytest.mark.parametrize(
    ("labels", "warned"), [([-1, 0, 1], True), ([-1.0, 0.0, 1.0], True), ([-1, 1], False), ([-2, -1, 0, 1], False)]
)
def test_minus_one_beside_numbered_classes(tmp_path: Path, caplog, labels: list[Any], warned: bool):
    for name in ("a.jsonl", "a.csv", "a.parquet"):
        caplog.clear()
        assert "-1" in load(write(tmp_path / name, labels)).classes
        assert ("label '-1' (row " in caplog.text) == warned


def parts(**splits: list[int | None]) -> DatasetDict:
    features = Features(sentence=Value("string"), label=ClassLabel(names=["neg", "pos"]))
    return DatasetDict(
        {
            split: Dataset.from_list(
                [{"sentence": f"{split} text {n}", "label": label} for n, label in enumerate(labels)], features=features
            )
            for split, labels in splits.items()
        }
    )


def from_hub(data: DatasetDict):
    return from_parts("toy", data, text=None, label=None, description="")


def test_a_test_split_with_withheld_labels(caplog):
    corpus = from_hub(parts(train=[0, 1] * 20, validation=[0, 1, 1], test=[-1] * 9))
    assert corpus.test.texts == ("validation text 0", "validation text 1", "validation text 2")
    assert corpus.test.labels == (0, 1, 1) and len(corpus.train) == 40
    assert (
        "the labels of the split test are withheld (-1 or none); the split validation is the test side" in caplog.text
    )
    assert len(from_hub(parts(train=[0, 1] * 20, test=[-1] * 9)).test) == 8, "a fifth of the training split"


def test_hub_rows_without_label_are_unlabeled_texts(caplog):
    corpus = from_hub(parts(train=[0, 1, -1, None] * 10, test=[0, 1, -1]))
    assert len(corpus.train) == 20 and len(corpus.unlabeled) == 20 and "train text 2" in corpus.unlabeled
    assert "split train: 20 rows have no label (the first is row 3); they are unlabeled texts" in caplog.text
    assert corpus.test.labels == (0, 1)
    assert "split test: 1 rows have no label (the first is row 3); dropped" in caplog.text


def test_minus_one_in_a_parquet_file_with_named_classes(tmp_path: Path):
    path = tmp_path / "a.parquet"
    parts(train=[0, 1, -1])["train"].to_parquet(path)
    with pytest.raises(DataError, match="row 3: no label in 'label'"):
        list(read_labeled(path, text_column=None, label_column=None))
