"""Texts in a mapped file are what a tuple of them is, and nothing about them depends on where they lie."""

from collections.abc import Sequence

import numpy as np
import pytest

from text_uda.data import Corpus, Rows, split, texts
from text_uda.data.texts import MappedTexts, distinct_places, in_blocks, joined, keep, sorted_distinct, take_texts
from text_uda.errors import DataError

MANY = tuple(f"{number * 7919 % 101} é 🙂{' long' * (number % 5)}" for number in range(100))


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a hundred texts are many: in files, of several pieces, sorted in several parts."""
    for name, value in {"IN_MEMORY": 500, "_BLOCK_TEXTS": 7, "_SORTED_AT_ONCE": 200}.items():
        monkeypatch.setattr(texts, name, value)


def mapped() -> MappedTexts:
    kept = keep(MANY)
    assert isinstance(kept, MappedTexts)
    return kept


def test_few_are_a_tuple_and_many_lie_in_a_file():
    assert keep(iter(["a", "b"])) == ("a", "b") and isinstance(keep(["a"]), tuple)
    assert len(mapped()._column.chunks) > 10 and mapped() == MANY == mapped()
    assert mapped() != MANY[:-1] and mapped() != (*MANY[:-1], "") and keep(()) == ()


@pytest.mark.parametrize("view", [slice(None), slice(3, 60), slice(None, None, -1), slice(80, 5, -7), slice(5, 5)])
def test_a_view_reads_as_the_slice_of_a_tuple(view: slice):
    ours, tuple_ = mapped()[view], MANY[view]
    assert len(ours) == len(tuple_) and [*ours] == [*tuple_] and [*reversed(ours)] == [*reversed(tuple_)]
    assert ours == tuple_ and [text for block in in_blocks(ours) for text in block] == [*tuple_]
    assert all(ours[place] == tuple_[place] for place in range(-len(tuple_), len(tuple_)))
    assert ours[1:-1:2] == tuple_[1:-1:2] and ours.column().to_pylist() == [*tuple_]
    for place in (len(tuple_), -len(tuple_) - 1):
        with pytest.raises(IndexError):
            ours[place]
    for text in (MANY[4], "nowhere"):
        assert (text in ours) == (text in tuple_) and ours.count(text) == tuple_.count(text)


@pytest.mark.parametrize("make", [keep, tuple])
def test_those_at_some_places(make):
    places = np.array([99, 0, 0, 50, 49])
    assert take_texts(make(MANY), places) == tuple(MANY[place] for place in places)
    assert take_texts(take_texts(make(MANY), places), np.array([4, 0])) == (MANY[49], MANY[99])


@pytest.mark.parametrize("parts", [(MANY, ("a",)), (("a",), MANY), (MANY[:50][::-1], (), MANY[50:]), (("a",), ("b",))])
def test_parts_under_one_another(parts: Sequence[tuple[str, ...]]):
    together = joined(*(keep(part) for part in parts))
    assert together == sum(parts, ()) and joined(mapped()[::-1], ("z",), mapped()) == (*MANY[::-1], "z", *MANY)


def test_each_text_where_it_stands_first():
    again = (*MANY, *MANY[::-1], "new", MANY[0], "new")
    assert distinct_places(again).tolist() == [*range(100), 200]
    assert distinct_places(keep(again), but=(MANY[:99], ("new",))).tolist() == [99]
    assert distinct_places((), but=(MANY,)).tolist() == []


@pytest.mark.parametrize("number", [0, 1, 3, 100])
def test_sorted_as_python_sorts(number: int):
    again = [*MANY[:number], "\U00010000", "\uffff", "A", "a", *MANY[:number]]
    assert sorted_distinct(iter(again)) == tuple(sorted({*again}))


def test_many_that_are_all_alike():
    assert sorted_distinct(["the same text"] * 100) == ("the same text",)


def test_half_a_surrogate_pair():
    with pytest.raises(DataError, match="half a surrogate pair"):
        keep([*MANY, "\ud800"])


def test_a_split_does_not_depend_on_where_the_texts_lie(monkeypatch: pytest.MonkeyPatch):
    train = Rows(keep(MANY), tuple(n % 2 for n in range(100)))
    corpus = Corpus("toy", "", ("a", "b"), train, Rows(("test",), (0,)), keep([f"more {n}" for n in range(90)]))
    mapped_parts = split(corpus, labels=10, seed=3, dev=18)
    assert isinstance(mapped_parts.unlabeled, MappedTexts) and isinstance(corpus.training_texts(), MappedTexts)
    monkeypatch.setattr(texts, "IN_MEMORY", 1 << 26)
    plain = Corpus("toy", "", ("a", "b"), Rows(MANY, train.labels), corpus.test, tuple(corpus.unlabeled))
    parts = split(plain, labels=10, seed=3, dev=18)
    assert parts == mapped_parts and isinstance(parts.unlabeled, tuple)
    assert parts.unlabeled == tuple(sorted(parts.unlabeled)) and plain.training_texts() == corpus.training_texts()
    # As it was before texts could lie in files, so that figures that were measured then can be made again.
    assert parts.digest == "4d3ece9adefe016fe2a0b4cbb3dc8807"
