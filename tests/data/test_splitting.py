"""Splits: balanced, seeded, whole, and the same whatever the order of the rows."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from text_uda.data import Corpus, Rows, split
from text_uda.data.splitting import hold_out_test, without_overlap
from text_uda.errors import SettingsError

TRAIN = Rows(tuple(f"text {n}" for n in range(300)), tuple(n % 3 for n in range(300)))
TEST = Rows(("test a", "test b", "test c"), (0, 1, 2))
CORPUS = Corpus("toy", "", ("a", "b", "c"), TRAIN, TEST, ("more", "text 1"))


def test_parts_are_balanced_distinct_and_whole():
    parts = split(CORPUS, labels=12, seed=0, dev=30)
    assert Counter(parts.labeled.labels) == {0: 4, 1: 4, 2: 4} and Counter(parts.dev.labels) == {0: 10, 1: 10, 2: 10}
    chosen = {*parts.labeled.texts, *parts.dev.texts}
    assert len(chosen) == 42 and not chosen & {*parts.unlabeled}
    assert chosen | {*parts.unlabeled} == {*TRAIN.texts, "more"} and parts.test == TEST
    truth = dict(zip(TRAIN.texts, TRAIN.labels, strict=True))
    for rows in (parts.labeled, parts.dev):
        assert all(truth[text] == label for text, label in zip(rows.texts, rows.labels, strict=True))


def test_what_is_chosen_is_nowhere_unlabeled():
    parts = split(replace(CORPUS, unlabeled=(*TRAIN.texts, "more")), labels=12, seed=0, dev=30)
    assert parts.unlabeled == split(CORPUS, labels=12, seed=0, dev=30).unlabeled and len(parts.unlabeled) == 259


def test_the_seed_decides_and_the_order_does_not():
    one = split(CORPUS, labels=12, seed=0)
    backwards = replace(CORPUS, train=Rows(TRAIN.texts[::-1], TRAIN.labels[::-1]))
    other = split(backwards, labels=12, seed=0)
    assert {*one.labeled.texts} == {*other.labeled.texts} and {*one.dev.texts} == {*other.dev.texts}
    assert one.unlabeled == other.unlabeled
    assert split(CORPUS, labels=12, seed=0).digest == one.digest
    assert {*split(CORPUS, labels=12, seed=1).labeled.texts} != {*one.labeled.texts}


def test_more_labels_keep_those_there_were():
    few, more = (split(CORPUS, labels=labels, seed=0, dev=30) for labels in (12, 60))
    assert {*few.labeled.texts} < {*more.labeled.texts}


def test_the_digest_is_of_everything():
    base = split(CORPUS, labels=12, seed=0).digest
    changed = [
        replace(CORPUS, test=Rows(TEST.texts, (0, 1, 1))),
        replace(CORPUS, unlabeled=("other",)),
        replace(CORPUS, classes=("a", "b", "d")),
    ]
    assert len({base, *(split(each, labels=12, seed=0).digest for each in changed)}) == 4


def test_the_digest_of_the_test_rows_is_of_their_texts_and_labels_alone():
    base = split(CORPUS, labels=12, seed=0).test_digest
    assert split(CORPUS, labels=15, seed=1).test_digest == base and len(base) == 32
    for other in (Rows(TEST.texts, (0, 1, 1)), Rows(("test a", "test b", "test d"), TEST.labels)):
        assert split(replace(CORPUS, test=other), labels=12, seed=0).test_digest != base


def test_labels_that_do_not_divide():
    assert sorted(Counter(split(CORPUS, labels=14, seed=0).labeled.labels).values()) == [4, 5, 5]


@pytest.mark.parametrize(
    ("labels", "dev", "said"),
    [
        (2, None, "3 classes"),
        (301, None, "asks for 10[01] texts of class '.'.*at most 297"),
        (300, None, "at most 297"),
        (12, 1000, "288 texts left"),
        (12, 2, "ask for 3 to 288"),
    ],
)
def test_more_than_there_is(labels, dev, said):
    with pytest.raises(SettingsError, match=said):
        split(CORPUS, labels=labels, seed=0, dev=dev)


def test_at_most_what_was_said_works():
    assert len(split(CORPUS, labels=297, seed=0).labeled) == 297


@given(st.lists(st.integers(1, 40), min_size=2, max_size=5), st.integers(0, 5), st.data())
@hypothesis_settings(max_examples=40, deadline=None)
def test_any_shape_of_classes(sizes, seed, data):
    rows = [(f"{label} {n}", label) for label, size in enumerate(sizes) for n in range(size + 1)]
    train = Rows(tuple(text for text, _ in rows), tuple(label for _, label in rows))
    corpus = Corpus("any", "", tuple(map(str, range(len(sizes)))), train, TEST)
    labels = data.draw(st.integers(len(sizes), len(sizes) * min(sizes)))
    parts = split(corpus, labels=labels, seed=seed)
    assert len(parts.labeled) == labels and set(parts.dev.labels) == set(range(len(sizes)))
    assert len(parts.labeled) + len(parts.dev) + len(parts.unlabeled) == len(rows)


def test_a_held_out_test_side_does_not_depend_on_the_other_texts():
    train, test = hold_out_test(TRAIN)
    assert 0.1 < len(test) / len(TRAIN) < 0.3
    again, held = hold_out_test(Rows(TRAIN.texts[:50], TRAIN.labels[:50]))
    assert {*held.texts} == {*test.texts} & {*TRAIN.texts[:50]} and {*again.texts} < {*train.texts}


def test_near_copies_stay_on_one_side():
    copies = Rows(("A good film.", "a good film", "A  GOOD film!!"), (0, 0, 0))
    assert {len(side) for side in hold_out_test(copies)} == {0, 3}
    assert without_overlap(copies, Rows(("a good film?",), (0,))) == Rows((), ())
