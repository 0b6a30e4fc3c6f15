"""What a run keeps of its answers: packed and unpacked, and the same rows for each run."""

import json

import numpy as np
import pytest

from text_uda.data import Rows
from text_uda.keyed_random import keyed_seed
from text_uda.runs import kept_predictions


@pytest.mark.parametrize("rows", [0, 1, 7, 8, 9, 1001])
def test_what_is_packed_comes_back(rows):
    right = np.random.default_rng(rows).random(rows) < 0.7
    assert np.array_equal(kept_predictions.unpacked(kept_predictions.packed(right), rows), right)


def test_packing_is_that_of_numpy():
    assert kept_predictions.packed(np.array([True, False, True])) == "oA=="  # 0b1010_0000


@pytest.mark.parametrize("text", ["oA==oA==", "?", "", "oKA="])
def test_another_number_of_rows_is_refused(text):
    with pytest.raises(ValueError):
        kept_predictions.unpacked(text, 3)


def test_examples_are_those_of_the_smallest_hash(monkeypatch):
    monkeypatch.setattr(kept_predictions, "EXAMPLES", 3)
    texts = [f"text {n}" for n in range(10)]
    rows = Rows(tuple(texts), tuple(n % 2 for n in range(10)))
    probabilities = np.tile([0.25, 0.75], (10, 1))
    found = [
        json.loads(line) for line in kept_predictions.examples_of(rows, ("bad", "good"), probabilities).splitlines()
    ]
    assert [each["text"] for each in found] == sorted(texts, key=lambda text: keyed_seed("test example", text))[:3]
    for each in found:
        assert each["label"] == ("bad", "good")[int(each["text"][5:]) % 2]
        assert each["predicted"] == "good" and each["probability"] == 0.75


def test_fewer_rows_than_examples_and_a_text_twice():
    rows = Rows(("a", "b", "a"), (0, 1, 1))
    lines = kept_predictions.examples_of(rows, ("no", "yes"), np.tile([0.9, 0.1], (3, 1))).splitlines()
    assert sorted((json.loads(line)["text"], json.loads(line)["label"]) for line in lines) == [
        ("a", "no"),
        ("a", "yes"),
        ("b", "yes"),
    ]
