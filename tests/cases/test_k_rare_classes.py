"""Case K: classes of one row and of few."""

import json
from collections import Counter

import pytest

from text_uda.data import load, split
from text_uda.errors import DataError, SettingsError


def write(path, sizes: dict[str, int]):
    rows = [{"text": f"{label} text {n}", "label": label} for label, size in sizes.items() for n in range(size)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


@pytest.fixture
def rare(tmp_path):
    return write(tmp_path / "rare.jsonl", {"neg": 100, "pos": 100, "meh": 1})


def test_the_only_row_of_a_class_is_for_training_and_this_is_logged(rare, caplog):
    corpus = load(rare)
    assert corpus.classes == ("meh", "neg", "pos")
    assert (corpus.train.labels.count(0), corpus.test.labels.count(0)) == (1, 0)
    assert "rare.jsonl: too few texts of class 'meh' for a test row" in caplog.text


@pytest.mark.parametrize(("size", "for_training"), [(1, 1), (2, 1), (3, 2), (4, 3)])
def test_a_class_of_few_rows_is_on_both_sides(tmp_path, size, for_training):
    corpus = load(write(tmp_path / "few.jsonl", {"neg": 50, "rare": size}))
    assert (corpus.train.labels.count(1), corpus.test.labels.count(1)) == (for_training, size - for_training)
    for labels in (2, "all"):
        assert split(corpus, labels=labels, seed=0).labels_per_class[1] >= 1


def test_twelve_labels(rare):
    with pytest.raises(SettingsError, match="needs 4 texts of class 'meh', and rare has 1 for training; use at most 3"):
        split(load(rare), labels=12, seed=0)
    assert min(split(load(rare), labels=12, seed=0, label_sampling="proportional").labels_per_class) == 1


def test_all_labels(rare):
    parts = split(load(rare), labels="all", seed=0)
    assert parts.labels_per_class[0] == 1 and 0 not in parts.dev.labels


@pytest.mark.parametrize("side", ["test", "dev"])
def test_a_class_that_data_lacks(tmp_path, side):
    data = write(tmp_path / "data.jsonl", {"neg": 20, "pos": 20})
    other = write(tmp_path / "other.jsonl", {"odd": 1})
    with pytest.raises(DataError, match=r"other\.jsonl, row 1: label 'odd' is not one of the classes \(neg, pos\)"):
        load(data, **{side: other})
    assert load(data, unlabeled=other).classes == ("neg", "pos"), "labels of unlabeled texts are not read"


@pytest.mark.parametrize("side", ["test", "dev"])
def test_rows_of_one_class_are_named(tmp_path, side, caplog):
    data = write(tmp_path / "data.jsonl", {"neg": 20, "pos": 20, "meh": 20})
    other = tmp_path / "other.jsonl"
    other.write_text('{"text": "so good", "label": "pos"}\n')
    load(data, **{side: other})
    assert "other.jsonl has no row of 2 classes ('meh', 'neg')" in caplog.text


@pytest.mark.parametrize("side", ["test", "dev"])
def test_data_as_its_own_test_or_development_rows(tmp_path, side):
    data = write(tmp_path / "data.jsonl", {"neg": 20, "pos": 20})
    corpus = load(data, **{side: data})
    with pytest.raises(DataError, match="data has no text left for training: all are test or development rows too"):
        split(corpus, labels=4, seed=0)


def test_a_class_whose_rows_are_all_test_rows_is_explained(tmp_path):
    data = write(tmp_path / "data.jsonl", {"neg": 20, "pos": 20, "meh": 2})
    test = write(tmp_path / "test.jsonl", {"meh": 2})
    with pytest.raises(DataError, match=r"no text of class 'meh' for training \(its rows: 2 on the test side, 2 near"):
        split(load(data, test=test), labels="all", seed=0)


@pytest.mark.parametrize("limit", [3, 10, 60])
def test_a_limit_keeps_each_class(rare, limit):
    corpus = load(rare, limit=limit)
    assert len(corpus.train) == limit and {*corpus.train.labels} == {0, 1, 2}
    assert corpus == load(rare, limit=limit)


def test_a_limit_that_has_each_class_draws_as_before(tmp_path):
    """The texts with the smallest hashes: what a limit drew stays what it draws."""
    from text_uda.keyed_random import keyed_seed

    corpus = load(write(tmp_path / "data.jsonl", {"neg": 50, "pos": 50}))
    expected = sorted(corpus.train.texts, key=lambda text: keyed_seed("limit", text))[:30]
    limited = load(tmp_path / "data.jsonl", limit=30)
    assert {*limited.train.texts} == {*expected} and len(Counter(limited.train.labels)) == 2
