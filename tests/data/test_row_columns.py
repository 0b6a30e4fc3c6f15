"""Columns beside the text: how they are read, and that rows are keyed by text and columns."""

import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from text_uda.data import Rows, load, split
from text_uda.data.near_copies import copy_groups, essence, text_essence
from text_uda.data.row_columns import NO_COLUMNS, OtherColumns, RowText
from text_uda.data.row_counts import describe_unused
from text_uda.data.texts import distinct_places, sorted_distinct
from text_uda.errors import DataError, SettingsError

PRICE = OtherColumns.named(numeric="price")


def frame(rows: int = 60) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "text": [f"the film number {i // 2} is very good" for i in range(rows)],  # each text twice
            "label": ["yes" if i % 2 else "no" for i in range(rows)],
            "price": [float(i % 2) for i in range(rows)],
            "shop": ["north" if i % 3 else None for i in range(rows)],
            "image": [[0.5, float(i)] for i in range(rows)],
        }
    )


def written(frame: pd.DataFrame, path: Path) -> Path:
    if path.suffix == ".csv":
        frame.assign(image=frame["image"].map(json.dumps)).to_csv(path, index=False)
    elif path.suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_parquet(path)
    return path


ALL = {"numeric": ("price",), "categorical": ("shop",), "vector": ("image",)}


def test_a_row_text_is_its_text_and_equals_by_columns_too() -> None:
    one, same, other = (RowText("a film", PRICE, [value]) for value in (1.0, 1.0, 2.0))
    assert one == same and hash(one) == hash(same)
    assert one != other and one != "a film"
    assert str(one) == "a film" and one.upper() == "A FILM"
    assert sorted_distinct([other, one, same]) == sorted_distinct([same, other])
    assert distinct_places([one, other, same]).tolist() == [0, 1]
    assert len({*copy_groups([one, other, same]).tolist()}) == 2
    near = RowText("A film!", PRICE, [1.0])
    assert essence(near) == essence(one) != essence(other)
    assert len({*copy_groups([one, near]).tolist()}) == 1


def test_rows_have_one_order() -> None:
    one, other = sorted(RowText("a film", PRICE, [value]) for value in (1.0, 2.0))
    later = RowText("b", PRICE, [0.0])
    for small, large in ((one, other), (other, later), ("a film", one), (one, "b")):
        assert small < large and small <= large and large > small and large >= small
        assert not (small > large or small >= large or large < small or large <= small)
        assert max(small, large) == max(large, small) == large
    assert one <= one and one >= one and not (one < one or one > one)


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_every_format_reads_the_same_columns(name: str, tmp_path: Path) -> None:
    from_frame = load(frame(), **ALL)
    from_file = load(written(frame(), tmp_path / name), **ALL)
    assert from_file.digest == from_frame.digest
    row = from_file.train.texts[0]
    assert isinstance(row, RowText) and row.columns.names == ("price", "shop", "image")
    price, _, image = row.values
    assert price in (0.0, 1.0) and np.frombuffer(image, "<f4")[0] == 0.5


@pytest.mark.parametrize("values", [[1, None, 0, 2], [True, None, False]])
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_a_category_is_one_in_every_format(values: list, name: str, tmp_path: Path) -> None:
    """pandas makes floats of integers beside blanks, and writes True to a csv file and true to JSON."""
    data = frame().assign(shop=pd.Series([values[i % len(values)] for i in range(60)]))
    from_file = load(written(data, tmp_path / name), **ALL)
    assert from_file.digest == load(data, **ALL).digest == load(data.astype({"shop": object}), **ALL).digest
    present = {row.values[1] for row in from_file.train.texts if isinstance(row, RowText)}
    assert present == {None if value is None else str(value).lower() for value in values}


def test_a_dataset_reads_the_same_columns() -> None:
    from datasets import Dataset

    assert load(Dataset.from_pandas(frame()), **ALL).digest == load(frame(), **ALL).digest


def test_the_hub_reads_columns() -> None:
    from datasets import Dataset

    from text_uda.data.hub import from_parts

    parts = {"train": Dataset.from_pandas(frame())}
    columns = OtherColumns.named(**ALL)
    corpus = from_parts("a/b", parts, text=("text",), label="label", description="", others=columns)
    assert corpus.digest == load(frame(), **ALL).digest


def test_the_hub_reads_the_names_of_a_class_label(tmp_path: Path) -> None:
    from datasets import ClassLabel, Dataset

    from text_uda.data.hub import from_parts

    columns, names = OtherColumns.named(categorical="shop"), ["north", "south"]
    data = frame().assign(shop=[names[i % 3 % 2] for i in range(60)])
    rows = Dataset.from_pandas(data).cast_column("shop", ClassLabel(names=names))
    rows.to_parquet(tmp_path / "a.parquet")
    corpus = from_parts("a/b", {"train": rows}, text=("text",), label="label", description="", others=columns)
    assert {row.values[0] for row in corpus.train.texts if isinstance(row, RowText)} == {*names}
    for source in (data, rows, tmp_path / "a.parquet"):
        assert load(source, categorical="shop").digest == corpus.digest


def test_equal_texts_with_other_columns_stay_two_rows() -> None:
    corpus = load(frame(), numeric="price")
    assert len(corpus.train) + len(corpus.test) == 60 and not len(corpus.unused)
    parts = split(corpus, labels=4, seed=0)
    rows = [*parts.labeled.texts, *parts.unlabeled, *parts.dev.texts]
    assert len({*rows}) == len(rows)
    assert len(parts.unlabeled) == 2 * len({*map(str, parts.unlabeled)}) > 20
    every = split(corpus, labels="all", seed=0)
    assert len(every.labeled) == len(every.unlabeled) == 2 * len({*map(str, every.labeled.texts)})
    assert parts.columns.names == ("price",)
    distinct = frame()[::2].assign(label=["yes", "no"] * 15)
    without, with_columns = (load(distinct, **columns) for columns in ({}, {"numeric": "price"}))
    assert without.train.columns is NO_COLUMNS and without.digest != with_columns.digest


def test_the_order_of_a_file_changes_no_split() -> None:
    data = frame().assign(text=[f"the film number {i // 4}" for i in range(60)])  # several rows of a text and class
    parts = [split(load(rows, **ALL), labels=6, seed=3, unlabeled=10) for rows in (data, data[::-1])]
    assert {*parts[0].labeled.texts} == {*parts[1].labeled.texts}
    assert parts[0].unlabeled == parts[1].unlabeled


@pytest.mark.parametrize("labels", [6, 60, "all"])
@pytest.mark.parametrize("seed", [0, 1])
def test_rows_of_one_text_are_on_one_side(labels, seed: int) -> None:
    """A running number tells all rows apart, and no text."""
    texts = [f"the film number {i % 60} is {'VERY' if i % 7 else 'very'} good" for i in range(600)]
    data = frame(600).assign(text=texts, price=[float(i) for i in range(600)])
    corpus = load(data, numeric="price")
    parts = split(corpus, labels=labels, seed=seed)
    training = (*parts.labeled.texts, *parts.unlabeled)
    sides = [{text_essence(text) for text in side} for side in (training, parts.dev.texts, parts.test.texts)]
    assert all(sides) and not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])
    if labels == "all":
        assert len(parts.labeled) + len(parts.dev) + len(parts.test) > 590  # few rows are left out
    else:
        labeled = {*map(text_essence, parts.labeled.texts)}
        assert len(parts.labeled) == labels and not labeled & {*map(text_essence, parts.unlabeled)}


def test_the_default_number_of_development_rows_does_not_depend_on_the_seed() -> None:
    """Some texts are four rows, so a draw leaves out more rows or fewer, and the pool has another size."""
    data = pd.DataFrame(
        {
            "text": [f"the film number {i if i < 40 else 40 + i // 4} is good" for i in range(120)],
            "label": ["yes" if i % 2 else "no" for i in range(120)],
            "price": [float(i) for i in range(120)],
        }
    )
    splits = [split(load(data, numeric="price"), labels=30, seed=seed) for seed in range(8)]
    assert len({len(parts.unlabeled) for parts in splits}) > 1 and len({len(parts.dev) for parts in splits}) == 1
    assert splits[0].most_unlabeled is None
    assert split(load(data, numeric="price"), labels=30, seed=0, unlabeled=5).most_unlabeled == 5


def test_the_held_out_fifth_divides_no_text() -> None:
    data = frame().assign(text=[f"the film number {i % 6}" for i in range(60)], price=[float(i) for i in range(60)])
    corpus = load(data, numeric="price")  # three texts of a class, ten rows each
    assert not {*map(str, corpus.train.texts)} & {*map(str, corpus.test.texts)}
    assert len(corpus.test) == 20


def test_all_labels_need_a_text_of_every_class_beside_the_development_rows() -> None:
    data = frame(4).assign(text=["first", "second", "third", "second"])  # both rows of yes have one text
    corpus = load(data.assign(price=[0.0, 1.0, 2.0, 3.0]), test=frame(2), numeric="price")
    with pytest.raises(SettingsError, match=r"all texts of class 'yes' .* use fewer development rows \(--dev N\)"):
        split(corpus, labels="all", seed=0, dev=2)


def test_rows_with_the_text_of_a_test_or_development_row_leave_training() -> None:
    data, price = frame(), {"numeric": "price"}
    beside = data.iloc[:2].assign(price=[0.0, 7.0])  # the first row occurs in the data, the second with another price
    corpus = load(data, test=beside, **price)
    assert len(corpus.unused) == 2 and len(corpus.train) == 58
    assert "2 equal a test or development text but for case, punctuation, spaces and other columns" in describe_unused(
        corpus
    )
    unlabeled = data.iloc[:4].drop(columns="label").assign(price=9.0)
    assert len(load(data.iloc[4:], test=beside, unlabeled=unlabeled, **price).unlabeled) == 1
    with pytest.raises(DataError, match="all of its texts are test rows"):
        load(data, test=beside, dev=beside.assign(price=8.0), **price)
    corpus = load(data, test=data.iloc[4:6], dev=beside, **price)
    assert len(corpus.unused) == 4 and len(corpus.train) == 56


def test_limit_and_joined_rows_keep_columns() -> None:
    corpus = load(frame(), limit=20, numeric="price")
    assert corpus.train.columns == PRICE
    assert Rows.joined(corpus.train, corpus.test).columns == PRICE


BAD = [
    ("price", ["good"], {"numeric": "price"}, "row 1: 'price' is 'good', not a number"),
    ("price", [1.0, float("inf")], {"numeric": "price"}, "row 2: 'price' is inf, and numbers are finite"),
    ("price", [[1.0]], {"numeric": "price"}, "a list of numbers is a --vector"),
    ("image", [[1.0, 2.0], [1.0]], {"vector": "image"}, "row 2: 'image' has 1 numbers, and that of row 1 has 2"),
    ("image", [[1.0, float("nan")]], {"vector": "image"}, "row 1: 'image' has a number that is missing, not finite"),
    ("price", [10**400], {"numeric": "price"}, "row 1: 'price' is an integer, and numbers are finite, at most 1e"),
    ("price", ["1_000"], {"numeric": "price"}, "row 1: 'price' is '1_000', not a number"),
    ("price", [b"1"], {"numeric": "price"}, "row 1: 'price' is b'1', not a number"),
    ("image", [[10**400]], {"vector": "image"}, "row 1: 'image' has a number above 1e30"),
    ("image", [f"[{10**400}]"], {"vector": "image"}, "row 1: 'image' has a number above 1e30"),
    ("image", [f"[{'1' * 5000}]"], {"vector": "image"}, r"row 1: 'image' is '\[111"),
    ("image", ["[" * 100_000], {"vector": "image"}, r"row 1: 'image' is '\[\[.*, not a list of numbers"),
    ("image", [["1", "2"]], {"vector": "image"}, r"row 1: 'image' is \['1', '2'\], not a list of numbers; correct it"),
    ("image", ["north"], {"vector": "image"}, "row 1: 'image' is 'north', not a list of numbers"),
    ("image", [3.0], {"vector": "image"}, "row 1: 'image' is 3.0, not a list of numbers; a single number is --numeric"),
    ("shop", [["a"]], {"categorical": "shop"}, r"row 1: 'shop' is \['a'\], not one category"),
    ("price", [1.0], {"numeric": "cost"}, "the DataFrame has no column 'cost'; it has: text, label, price"),
    ("price", [1.0], {"categorical": "label"}, "'label' is the text or the label"),
    ("price", [1.0], {"categorical": "price", "numeric": "price"}, "'price' is named twice"),
]


@pytest.mark.parametrize(("column", "values", "options", "message"), BAD)
def test_bad_columns_are_one_clear_line(column: str, values: list, options: dict, message: str) -> None:
    data = frame().astype(object)
    data[column] = [*values, *[values[0]] * (len(data) - len(values))]
    with pytest.raises(DataError, match=message) as caught:
        load(data, **options)
    assert "\n" not in str(caught.value)


def test_files_beside_need_the_columns_too() -> None:
    with pytest.raises(DataError, match="has no column 'price'"):
        load(frame(), unlabeled=frame().drop(columns="price").drop(columns="label"), numeric="price")
    with pytest.raises(DataError, match="has no columns beside the text"):
        load("movie-snippets", numeric="price")


def test_missing_values_are_none(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    data = frame().astype(object)
    data.loc[0, ["price", "image"]] = [None, None]
    path = tmp_path / "a.parquet"
    data.to_parquet(path)
    with caplog.at_level(logging.WARNING):
        corpus = load(path, **ALL)
    rows = [*corpus.train.texts, *corpus.test.texts]
    assert sum(row.values[0] is None and row.values[2] is None for row in rows) == 1
