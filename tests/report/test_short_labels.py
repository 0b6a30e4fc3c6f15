"""Labels beside a chart are cut, and stay distinct."""

import pytest

from text_uda.report.short_labels import short_labels

LONG = "head: back-translation, marian with temperature 0.9, seed {}"


def test_short_labels_stay_as_they_are():
    assert short_labels(["labels alone", "synonym"], 24) == {"labels alone": "labels alone", "synonym": "synonym"}


def test_a_long_label_loses_its_end():
    assert short_labels(["x" * 30], 10) == {"x" * 30: "x" * 9 + "…"}


def test_labels_with_the_same_beginning_keep_their_difference():
    labels = [LONG.format("one"), LONG.format("two")]
    assert [*short_labels(labels, 32).values()] == ["head: back…seed one", "head: back…seed two"] or all(
        short.endswith(("one", "two")) for short in short_labels(labels, 32).values()
    )


@pytest.mark.parametrize("letters", [12, 24, 32, 44])
@pytest.mark.parametrize(
    "labels",
    [
        [LONG.format(seed) for seed in range(12)],
        [f"{method}, a long common tail of words {rate}" for method in ("uda", "uda+") for rate in (0.1, 0.15)],
        ["a" * 100, "a" * 100 + "b", "a" * 101],
        [f"{'x' * 50}{first}{'y' * 50}{second}" for first in "ab" for second in "cd"],
    ],
)
def test_no_two_are_alike_and_all_fit(labels, letters):
    short = short_labels(labels, letters)
    assert [*short] == labels
    assert len({*short.values()}) == len(labels)
    assert max(map(len, short.values())) <= letters
