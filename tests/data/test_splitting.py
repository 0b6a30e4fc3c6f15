"""Splits: balanced or in proportion, seeded, whole, and the same whatever the order of the rows."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from text_uda.data import Corpus, Rows, split
from text_uda.data.near_copies import essence
from text_uda.errors import DataError, SettingsError

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


def test_all_labels_are_those_that_are_not_for_development():
    few, whole = split(CORPUS, labels=12, seed=0, dev=30), split(CORPUS, labels="all", seed=0, dev=30)
    labeled, dev = {*whole.labeled.texts}, {*whole.dev.texts}
    assert len(whole.labeled) == 270 and Counter(whole.dev.labels) == {0: 10, 1: 10, 2: 10}
    assert labeled | dev == {*TRAIN.texts} and not labeled & dev
    assert {*whole.unlabeled} == {*labeled, "more"}, "consistency is asked of texts with a label, too"
    assert whole.digest != few.digest
    assert (few.label_sampling, whole.label_sampling, whole.labels_per_class) == ("balanced", None, [90, 90, 90])
    with pytest.raises(SettingsError, match=r"dev=300: .* use 3 to 297"):
        split(CORPUS, labels="all", seed=0, dev=300)
    assert split(CORPUS, labels="all", seed=0, dev=297).labels_per_class == [1, 1, 1]


def test_fewer_unlabeled_texts_are_among_those_of_more():
    one, two, whole = (split(CORPUS, labels=12, seed=0, unlabeled=count) for count in (10, 50, None))
    assert (len(one.unlabeled), len(two.unlabeled)) == (10, 50)
    assert {*one.unlabeled} < {*two.unlabeled} < {*whole.unlabeled} and list(two.unlabeled) == sorted(two.unlabeled)
    assert one.labeled == two.labeled == whole.labeled and len({one.digest, two.digest, whole.digest}) == 3
    assert split(CORPUS, labels=12, seed=1, unlabeled=10).unlabeled != one.unlabeled
    assert split(CORPUS, labels=12, seed=0, unlabeled=10_000) == whole
    with pytest.raises(SettingsError, match="unlabeled=0: use 1 or more"):
        split(CORPUS, labels=12, seed=0, unlabeled=0)


def test_more_labels_keep_those_there_were():
    few, more = (split(CORPUS, labels=labels, seed=0, dev=30) for labels in (12, 60))
    assert {*few.labeled.texts} < {*more.labeled.texts}


def test_the_digest_is_of_everything():
    dev = Rows(("dev a", "dev b", "dev c"), (0, 1, 2))
    corpus = replace(CORPUS, dev=dev)
    changed = [
        replace(corpus, test=Rows(TEST.texts, (0, 1, 1))),
        replace(corpus, test=Rows(("test a", "test b", "test d"), TEST.labels)),
        replace(corpus, dev=Rows(dev.texts, (0, 1, 1))),
        replace(corpus, dev=Rows(("dev a", "dev b", "dev d"), dev.labels)),
        replace(corpus, dev=None),
        replace(corpus, unlabeled=("other",)),
        replace(corpus, classes=("a", "b", "d")),
    ]
    assert len({split(each, labels=12, seed=0).digest for each in (corpus, *changed)}) == 8


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
        (301, None, "needs 10[01] texts of class '.'.*at most 297"),
        (300, None, "at most 297"),
        (12, 1000, "288 texts left"),
        (300, 3, "proportional|at most 297, or use all"),
        (12, 2, "use 3 to 288"),
    ],
)
def test_more_than_there_is(labels, dev, said):
    with pytest.raises(SettingsError, match=said):
        split(CORPUS, labels=labels, seed=0, dev=dev)


def test_at_most_what_was_said_works():
    assert len(split(CORPUS, labels=297, seed=0).labeled) == 297


def skewed(sizes=(740, 90, 40, 40, 40, 40)) -> Corpus:
    rows = [(f"class {label} has text {n}", label) for label, size in enumerate(sizes) for n in range(size)]
    train = Rows(tuple(text for text, _ in rows), tuple(label for _, label in rows))
    return Corpus("skewed", "", tuple("abcdef"[: len(sizes)]), train, TEST)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [(24, [18, 2, 1, 1, 1, 1]), (50, [37, 5, 2, 2, 2, 2]), (6, [1] * 6), (7, [2, 1, 1, 1, 1, 1])],
)
def test_labels_in_the_proportions_of_the_classes(labels, expected):
    parts = split(skewed(), labels=labels, seed=0, label_sampling="proportional")
    assert parts.labels_per_class == expected and parts.label_sampling == "proportional"
    assert Counter(parts.dev.labels) == dict(enumerate(expected)), "as many development rows, in the same proportions"
    assert {*parts.labeled.texts} != {
        *split(skewed(), labels=labels, seed=1, label_sampling="proportional").labeled.texts
    }
    assert split(skewed(), labels=labels, seed=0, label_sampling="proportional") == parts


def test_as_many_labels_in_proportion_as_there_are():
    corpus = skewed((50, 5, 1))
    parts = split(corpus, labels=54, seed=0, label_sampling="proportional")
    assert parts.labels_per_class == [49, 4, 1] and sorted(parts.dev.labels) == [0, 1] and not parts.unlabeled
    with pytest.raises(SettingsError, match="labels=55: skewed has 54 distinct texts to label"):
        split(corpus, labels=55, seed=0, label_sampling="proportional")
    with pytest.raises(SettingsError, match="label_sampling='even': choose balanced or proportional"):
        split(corpus, labels=6, seed=0, label_sampling="even")  # pyright: ignore[reportArgumentType]


def test_balanced_labels_of_a_rare_class_say_what_to_do():
    said = (
        r"labels=240 needs 40 texts of class 'c', and skewed has 40 for training \(one of them for dev\); use "
        r"at most 234, or draw the labels in the proportions of the classes \(--label-sampling proportional\), or"
    )
    with pytest.raises(SettingsError, match=said):
        split(skewed(), labels=240, seed=0)
    assert split(skewed(), labels=234, seed=0).labels_per_class == [39] * 6


@pytest.mark.parametrize("sampling", ["balanced", "proportional"])
def test_a_class_of_one_row_is_labeled_and_not_for_development(sampling):
    corpus = skewed((50, 50, 1))
    for labels in (3, "all"):
        parts = split(corpus, labels=labels, seed=0, label_sampling=sampling)
        assert parts.labels_per_class[2] == 1 and {*parts.dev.labels} == {0, 1}
    with pytest.raises(SettingsError, match=r"needs 4 texts of class 'c', and skewed has 1 for training; .*most 3, or"):
        split(corpus, labels=12, seed=0)


def test_a_class_without_a_row_is_named():
    with pytest.raises(DataError, match="skewed has no text of class 'b' for training"):
        split(skewed((5, 0, 5)), labels="all", seed=0)


@pytest.mark.parametrize(
    ("labels", "rows"), [(6, 6), (24, 24), (150, 150), (180, 162), ("all", 198)]
)  # 990 rows: with 180 labels a fifth of the 810 that are left
def test_no_more_development_rows_than_labels(labels, rows):
    assert len(split(skewed(), labels=labels, seed=0).dev) == rows


def test_at_most_a_thousand_development_rows():
    many = skewed((6000, 6000))
    assert [len(split(many, labels=labels, seed=0).dev) for labels in (1500, "all")] == [1000, 1000]
    assert len(split(many, labels=1500, seed=0, dev=1200).dev) == 1200


def test_each_class_has_a_development_row_where_labels_are_few():
    assert Counter(split(skewed((4, 3, 2)), labels=3, seed=0).dev.labels) == {0: 1, 1: 1, 2: 1}
    with pytest.raises(SettingsError, match=r"leaves no text .* or add development rows \(--dev FILE\)"):
        split(skewed((1, 1)), labels=2, seed=0)


def test_development_rows_of_their_own():
    own = Rows(("class 0 has text 1", "new", "new"), (0, 1, 1))
    whole = skewed((50, 5, 2))
    corpus = replace(whole, dev=own, unlabeled=("New!", "more"))
    parts = split(corpus, labels=6, seed=0)
    assert parts.dev == own and parts.labels_per_class == [2, 2, 2], "no row is kept for development"
    assert {"Class 0 has text 1", "New!", "new"}.isdisjoint(parts.unlabeled) and "more" in parts.unlabeled
    assert len(split(corpus, labels="all", seed=0).labeled) == 57
    assert corpus.digest != replace(corpus, dev=None).digest
    with pytest.raises(SettingsError, match="dev=4: skewed has separate development rows"):
        split(corpus, labels=6, seed=0, dev=4)


def near_copies(seed: int) -> tuple[Corpus, list[str]]:
    """200 texts, each with one to three near copies; those of every tenth have different labels."""
    texts, labels = [], []
    for number in range(200):
        for copy in (f"Text {number}", f"text, {number}!", f"TEXT  {number}")[: number % 3 + 1]:
            texts.append(copy)
            labels.append((number + (number % 10 == 9 and copy[0] == "t")) % 2)
    order = sorted(range(len(texts)), key=lambda place: hash((seed, place)))
    train = Rows(tuple(texts[place] for place in order), tuple(labels[place] for place in order))
    return Corpus("copies", "", ("a", "b"), train, TEST, ("text 5!!", "text 900", "Text-900")), texts


@pytest.mark.parametrize("labels", [40, "all"])
def test_near_copies_are_one_text(labels):
    sizes = set()
    for seed in range(8):
        parts = split(near_copies(0)[0], labels=labels, seed=seed)
        labeled, dev, pool = (
            [essence(text) for text in side] for side in (parts.labeled.texts, parts.dev.texts, parts.unlabeled)
        )
        for side in (labeled, dev, pool):
            assert len({*side}) == len(side)
        assert not {*dev} & {*labeled, *pool} and (labels == "all" or not {*labeled} & {*pool})
        assert len({*labeled, *dev, *pool}) == 201
        sizes.add((len(labeled), len(dev), len(pool)))
    assert len(sizes) == 1, "or a report would take the seeds for different settings"
    assert (
        split(near_copies(1)[0], labels=labels, seed=3).unlabeled
        == split(near_copies(2)[0], labels=labels, seed=3).unlabeled
    )


def test_the_order_of_a_file_does_not_matter_among_near_copies():
    one, other = (split(near_copies(order)[0], labels=40, seed=0) for order in (1, 2))
    assert {*zip(*vars(one.labeled).values(), strict=True)} == {*zip(*vars(other.labeled).values(), strict=True)}
    assert {*zip(*vars(one.dev).values(), strict=True)} == {*zip(*vars(other.dev).values(), strict=True)}


@given(st.lists(st.integers(1, 40), min_size=2, max_size=5), st.integers(0, 5), st.booleans(), st.data())
@hypothesis_settings(max_examples=60, deadline=None)
def test_any_shape_of_classes(sizes, seed, balanced, data):
    corpus = skewed(sizes)
    most = [max(1, size - 1) for size in sizes]
    labels = data.draw(st.integers(len(sizes), len(sizes) * min(most) if balanced else sum(most)))
    if sum(sizes) == labels:
        return
    parts = split(corpus, labels=labels, seed=seed, label_sampling="balanced" if balanced else "proportional")
    assert len(parts.labeled) == labels and min(parts.labels_per_class) >= 1
    assert {*parts.dev.labels} == {n for n, size in enumerate(sizes) if size > parts.labels_per_class[n]}
    assert {n for n, size in enumerate(sizes) if size > 1} <= {*parts.dev.labels}
    assert len(parts.labeled) + len(parts.dev) + len(parts.unlabeled) == len(corpus.train)
