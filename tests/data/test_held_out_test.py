"""The test side of a file: a fifth of each class, which depends on nothing but the texts and their classes."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from text_uda.data import Rows, texts
from text_uda.data.held_out_test import hold_out_test, without_overlap
from text_uda.data.near_copies import essence
from text_uda.data.texts import MappedTexts, keep


def rows_of(sizes) -> Rows:
    rows = [(f"class {label} has text {n}", label) for label, size in enumerate(sizes) for n in range(size)]
    return Rows(tuple(text for text, _ in rows), tuple(label for _, label in rows))


def pairs(rows: Rows) -> set[tuple[str, int]]:
    return {*zip(rows.texts, rows.labels, strict=True)}


@pytest.mark.parametrize(
    ("sizes", "held"),
    [((740, 90, 40, 40, 40, 40), [148, 18, 8, 8, 8, 8]), ((100, 1, 2, 3, 7, 8), [20, 0, 1, 1, 1, 2]), ((1, 1), [0, 0])],
)
def test_a_fifth_of_each_class(sizes, held):
    train, test = hold_out_test(rows_of(sizes))
    counts = Counter(test.labels)
    assert [counts[number] for number in range(len(sizes))] == held
    assert pairs(train) | pairs(test) == pairs(rows_of(sizes)) and not pairs(train) & pairs(test)
    assert {*train.labels} == {*range(len(sizes))}


def test_no_order_moves_a_text_and_few_texts_move_few(monkeypatch: pytest.MonkeyPatch):
    rows = rows_of((300, 60))
    _, test = hold_out_test(rows)
    assert pairs(hold_out_test(Rows(rows.texts[::-1], rows.labels[::-1]))[1]) == pairs(test)
    _, fewer = hold_out_test(rows_of((295, 60)))
    assert len(pairs(fewer) - pairs(test)) <= 1
    monkeypatch.setattr(texts, "IN_MEMORY", 500)
    mapped = hold_out_test(Rows(keep(rows.texts), rows.labels))[1]
    assert isinstance(mapped.texts, MappedTexts) and mapped == test


def test_near_copies_stay_on_one_side_and_repeated_rows_stay_rows():
    frames = ("Text {}", "text {}!", "text {}!", "TEXT-{}")
    rows = Rows(tuple(frame.format(n) for n in range(100) for frame in frames), tuple(n % 2 for n in range(400)))
    train, test = hold_out_test(rows)
    assert len(test) == 80 and len(train) == 320
    assert not {*map(essence, train.texts)} & {*map(essence, test.texts)}
    copies = Rows(("A good film.", "a good film", "A  GOOD film!!", "a bad one"), (0, 0, 0, 1))
    kept, others = without_overlap(copies, Rows(("a good film?",), (0,)))
    assert kept == Rows(("a bad one",), (1,)) and others.texts == copies.texts[:3]


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=40))
@hypothesis_settings(max_examples=200, deadline=None)
def test_no_class_is_left_without_training_rows(drawn):
    """Also where near copies have different labels."""
    rows = Rows(
        tuple(f"text {number}" + "!" * copy for number, _, copy in drawn), tuple(label for _, label, _ in drawn)
    )
    train, test = hold_out_test(rows)
    assert {*train.labels} == {*rows.labels} and len(train) + len(test) == len(rows)
    assert not {*map(essence, train.texts)} & {*map(essence, test.texts)}
    assert pairs(hold_out_test(Rows(rows.texts[::-1], rows.labels[::-1]))[1]) == pairs(test)


def test_documents_stay_on_one_side_and_large_ones_are_not_preferred():
    sizes = [1 + 9 * (n % 2) for n in range(200)]
    rows = [(f"document {n} row {row}", n % 7 % 2, f"d{n}") for n, size in enumerate(sizes) for row in range(size)]
    rows.append(("DOCUMENT 8, row 0!", 0, "d9"))  # a near copy joins two documents
    texts_, labels, documents = zip(*rows, strict=True)
    train, test = hold_out_test(Rows(texts_, labels), documents)
    document_of = dict(zip(texts_, documents, strict=True))
    sides = [{document_of[text] for text in side.texts} for side in (train, test)]
    assert not sides[0] & sides[1] and ({"d8", "d9"} <= sides[0] or {"d8", "d9"} <= sides[1])
    large = sum(sizes[int(name[1:])] == 10 for name in sides[1])
    assert 30 <= len(sides[1]) <= 50 and 12 <= large <= 28
    backwards = hold_out_test(Rows(texts_[::-1], labels[::-1]), documents[::-1])
    assert pairs(backwards[1]) == pairs(test)
    rows_alone = rows_of((300, 60))
    assert hold_out_test(rows_alone, rows_alone.texts) == hold_out_test(rows_alone)


@pytest.mark.parametrize("number", range(10))
def test_near_copies_of_two_classes_count_for_the_rarer_one(number):
    often = [(f"text {number} {place}", 0) for place in range(30)]
    rows = Rows(*zip(*often, (f"Text {number} 4!", 1), (f"Text {number} 9!", 1), strict=True))
    train, test = hold_out_test(rows)
    assert test.labels.count(1) == train.labels.count(1) == 1


def test_a_class_whose_texts_all_have_near_copies_in_rarer_ones_keeps_a_row():
    """Each of its three texts is one of the two of a rarer class, of which one is held out: one time in eight, all."""
    for number in range(60):
        pairs = [(f"{number} {rare}", 0) for rare in (1, 2, 3)]
        pairs += [(text, rare) for rare in (1, 2, 3) for text in (f"{number}-{rare}", f"{number} of {rare} alone")]
        train, _ = hold_out_test(Rows(*zip(*pairs, strict=True)))
        assert {*train.labels} == {0, 1, 2, 3}
