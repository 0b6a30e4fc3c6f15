"""Texts and labels that Python holds: lists, pandas, datasets."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from text_uda import AEDA, load, paraphrase, read_paraphrases, write_pairs
from text_uda.data.evaluation_rows import file_rows
from text_uda.data.loading import texts_of
from text_uda.data.row_counts import describe_counts
from text_uda.errors import DataError

TEXTS = [f"text {n} is {('bad', 'good')[n % 2]}" for n in range(40)]
LABELS = [("neg", "pos")[n % 2] for n in range(40)]
MISSING = [None if n == 3 else float("nan") if n == 5 else label for n, label in enumerate(LABELS)]
FEATURES = datasets.Features(
    {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["pos", "neg", "never"])}
)


def dataset(texts=TEXTS, labels=None) -> datasets.Dataset:
    numbers = [1 - n % 2 for n in range(len(texts))] if labels is None else labels
    return datasets.Dataset.from_dict({"text": list(texts), "label": numbers}, features=FEATURES)


def test_a_list_of_texts():
    assert load(TEXTS).unlabeled == tuple(TEXTS) and load(TEXTS).classes == ()
    assert load(("a text", "another")).unlabeled == ("a text", "another")


@pytest.mark.parametrize(
    "data",
    [
        (TEXTS, MISSING),
        (np.array(TEXTS), np.array(MISSING, dtype=object)),
        pd.DataFrame({"text": TEXTS, "label": MISSING}),
        pd.DataFrame({"id": range(40), "sentence": TEXTS, "stars": pd.Categorical(MISSING)}),
        pd.DataFrame({"text": TEXTS, "label": pd.array(MISSING, dtype="string")}, index=range(40, 0, -1)),
    ],
    ids=["lists", "arrays", "DataFrame", "categories", "strings"],
)
def test_labels_that_are_missing_make_unlabeled_texts(data):
    corpus = load(data)
    assert corpus.classes == ("neg", "pos") and {*corpus.unlabeled} == {TEXTS[3], TEXTS[5]}
    truth = dict(zip(TEXTS, LABELS, strict=True))
    for side in (corpus.train, corpus.test):
        assert all(truth[text] == corpus.classes[label] for text, label in zip(side.texts, side.labels, strict=True))
    assert len(corpus.train) + len(corpus.test) == 38


def test_numbers_with_a_gap_are_no_decimals():
    labels = pd.Series([n % 2 for n in range(40)], dtype=float)
    labels[4] = np.nan
    assert load(pd.DataFrame({"text": TEXTS, "label": labels})).classes == ("0", "1")


def test_a_dataset_keeps_its_class_names_in_their_order():
    corpus = load(dataset(labels=[-1 if n == 7 else 1 - n % 2 for n in range(40)]))
    assert corpus.classes == ("pos", "neg") and corpus.unlabeled == (TEXTS[7],)
    assert all("good" in text for text, label in zip(*vars(corpus.train).values(), strict=True) if label == 0)


def test_the_splits_of_a_dataset_dict():
    test, validation = (dataset([f"{part} {text}" for text in TEXTS[:6]]) for part in ("test", "dev"))
    more = datasets.Dataset.from_dict({"text": ["more 1", "more 2"]})
    corpus = load(datasets.DatasetDict(train=dataset(), test=test, validation=validation, unsupervised=more))
    assert corpus.dev is not None
    assert (len(corpus.train), corpus.test.texts[0], corpus.dev.texts[0]) == (40, "test " + TEXTS[0], "dev " + TEXTS[0])
    assert corpus.unlabeled == ("more 1", "more 2")


def test_validation_is_the_test_side_where_the_labels_of_test_are_withheld(caplog):
    test = dataset([f"test {text}" for text in TEXTS[:6]], [-1] * 6)
    validation = dataset([f"dev {text}" for text in TEXTS[:6]])
    corpus = load(datasets.DatasetDict(train=dataset(), test=test, validation=validation))
    assert corpus.dev is None and len(corpus.test) == 6 and "the validation split is the test side" in caplog.text
    frames = {"train": pd.DataFrame({"text": TEXTS, "label": LABELS}), "test": (TEXTS[:6], LABELS[:6])}
    assert len(load(frames).test) == 6


def test_splits_that_are_not_read_are_named_and_two_of_a_kind_refused(caplog):
    load(datasets.DatasetDict(train=dataset(), extra=dataset()))
    assert "the splits extra are not read" in caplog.text
    more = datasets.Dataset.from_dict({"text": ["more 1"]})
    with pytest.raises(DataError, match="the splits unsupervised, unlabeled are all taken as unlabeled"):
        load(datasets.DatasetDict(train=dataset(), unsupervised=more, unlabeled=more))


def test_objects_beside_data():
    corpus = load((TEXTS, LABELS), unlabeled=["more 1", "more 2"], test=(["t 1", "t 2"], ["neg", "pos"]))
    assert corpus.unlabeled == ("more 1", "more 2") and corpus.test.labels == (0, 1) and len(corpus.train) == 40


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([1, 2], "row 1: 'text' is 1, not a text"),
        (5, "int is no data set"),
        ((TEXTS, LABELS[:3]), "40 texts and 3 labels"),
        (["fine", None], "row 2: the text"),
        ([], "the texts: there are none"),
        ({"test": TEXTS}, "no split is named train"),
        (pd.DataFrame({"a": TEXTS, "b": TEXTS}), "the DataFrame: which column is the text"),
    ],
)
def test_objects_that_are_no_data(data, message):
    with pytest.raises(DataError, match=message):
        load(data)


@pytest.mark.parametrize(
    "data",
    [TEXTS, np.array(TEXTS), pd.Series(TEXTS), pd.DataFrame({"text": TEXTS, "label": LABELS}), dataset(), load(TEXTS)],
    ids=["list", "array", "Series", "DataFrame", "Dataset", "Corpus"],
)
def test_paraphrases_of_objects(data, tmp_path: Path):
    assert paraphrase(data, AEDA(), tmp_path / "cache").computed == 40
    assert len(list(read_paraphrases(data, AEDA(), tmp_path / "cache"))) == 40
    assert write_pairs(data, AEDA(), tmp_path / "cache", tmp_path / "pairs.arrow")["source"][0] == TEXTS[0]


def test_neither_pandas_nor_datasets_is_imported():
    code = "import sys; from text_uda import load; load(['a b', 'c d']); print({'pandas', 'datasets'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


@pytest.fixture
def in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "more.csv").write_text("text\none more\n")
    (tmp_path / "tr.csv").write_text("text,label\n" + "".join(f"text {n},{n % 2}\n" for n in range(40)))
    return tmp_path


def test_texts_of_a_name_are_those_of_its_file(in_folder):
    assert len(texts_of("tr.csv")) == len(texts_of(in_folder / "tr.csv")) == 40
    with pytest.raises(DataError, match=r"'a text' is no file; give a list of texts"):
        texts_of("a text")
    with pytest.raises(DataError, match=r"mroe\.csv cannot be read"):
        texts_of("mroe.csv")


@pytest.mark.parametrize("names", [["more.csv", "mroe.csv"], ["more.csv", "mroe"], ["mroe.csv"], ("mroe.txt",)])
def test_a_misspelled_file_is_no_text(in_folder, names):
    with pytest.raises(DataError, match=r"mroe.* cannot be read"):
        load("tr.csv", unlabeled=names)


@pytest.mark.parametrize("texts", [["is it good?", "see data.csv"], ["all good"], []])
def test_texts_are_no_files(in_folder, texts):
    assert list(load("tr.csv", unlabeled=texts or None).unlabeled) == list(texts_of(texts)) == texts


def test_a_pattern_among_files(in_folder):
    assert list(load("tr.csv", unlabeled=["mor*.csv"]).unlabeled) == ["one more"]


@pytest.mark.parametrize("names", [["tr.csv", "more.csv"], ("tr.csv", "b.csv")])
def test_a_list_of_files_is_not_read_as_texts(in_folder, names):
    for read in (load, texts_of):
        with pytest.raises(DataError, match=r"'tr\.csv', '.*\.csv': a list of names of files"):
            read(names)


@pytest.mark.parametrize("with_labels", [True, False])
def test_a_saved_dict_is_the_dict_in_memory(tmp_path: Path, with_labels: bool):
    parts = {"train": dataset(), "validation": dataset([f"dev {n}" for n in range(20)])}
    parts["test"] = dataset([f"test {n}" for n in range(10)])
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "saved")
    saved, held = load(tmp_path / "saved", with_labels=with_labels), load(parts, with_labels=with_labels)
    assert replace(saved, name=held.name, description=held.description) == held
    assert saved.name == "saved" and (saved.dev is not None) == with_labels


def test_withheld_labels_of_a_dict():
    withheld = pd.DataFrame({"text": ["one", "two"], "label": [-1, -1]})
    train = pd.DataFrame({"text": TEXTS, "label": [n % 2 for n in range(40)]})
    assert load({"train": train, "test": withheld}).classes == ("0", "1")


def test_two_columns_of_one_name_are_refused(tmp_path: Path):
    with pytest.raises(DataError, match="the DataFrame has two columns 'text'; rename one"):
        load(pd.DataFrame([["a", 1, "b"]] * 3, columns=["text", "label", "text"]))
    table = pa.table([["a", "b"], [0, 1], ["c", "d"]], names=["text", "label", "text"])
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"a\.parquet: column 'text' occurs twice; rename one"):
        load(tmp_path / "a.parquet")


def test_missing_values_of_a_series_are_no_class():
    labels = pd.Series([["pos", "neg", pd.NA][n % 3] for n in range(40)], dtype="string")
    corpus = load((TEXTS, labels))
    assert corpus.classes == ("neg", "pos") and len(corpus.unlabeled) == 13


def test_nan_in_a_file_is_an_error_for_every_entrance(tmp_path: Path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": TEXTS, "label": [float("nan"), *(float(n % 2) for n in range(39))]}), path)
    for read in (lambda: load(path), lambda: file_rows(path, ["0", "1"], part="all")):
        with pytest.raises(DataError, match=r"a\.parquet, row 1: no label in 'label' \(it is NaN\)"):
            read()


def test_a_limited_data_set_counts_what_it_uses():
    assert describe_counts(load((TEXTS, LABELS), limit=5), limited=True).startswith("10 labeled rows used: 5 for train")
