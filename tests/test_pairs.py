"""Pairs: only usable paraphrases, and what was left out is counted."""

import numpy as np
import pytest

from text_uda.batch import pad
from text_uda.errors import SettingsError
from text_uda.pairs import Pairs
from translation_cache import Paraphrase


class Letters:
    """Rows whose token ids are the letters of the text."""

    def __init__(self, texts):
        self.texts = list(texts)

    def __len__(self):
        return len(self.texts)

    def batch(self, indices):
        return pad([np.array([ord(letter) for letter in self.texts[index]]) for index in indices], pad_id=0)

    def by_length(self):
        return np.arange(len(self.texts))


def ok(text, change_rate=0.5):
    return Paraphrase(text=text, scores={"change_rate": change_rate})


def words(inputs):
    return ["".join(chr(i) for i in row if i) for row in inputs.input_ids.tolist()]


def test_a_text_without_a_usable_paraphrase_is_left_out_and_counted():
    samples = [[ok("A", 0.2)], [Paraphrase(text="b", status="unchanged")], [ok("C", 0.4)]]
    pairs = Pairs(["a", "b", "c"], samples, Letters, method="test")
    assert len(pairs) == 2
    original, augmented = pairs.batch(np.array([0, 1]), np.array([0, 0]))
    assert (words(original), words(augmented)) == (["a", "c"], ["A", "C"])
    assert pairs.coverage.usable == pytest.approx(2 / 3)
    assert pairs.coverage.change_rate == pytest.approx(0.3)
    assert pairs.coverage.statuses == {"ok": 2, "unchanged": 1}


def test_samples_take_turns_from_visit_to_visit():
    samples = [[ok("A"), Paraphrase(text=None, status="empty"), ok("D")], [ok("B")]]
    pairs = Pairs(["a", "b"], samples, Letters, method="test")
    seen = [words(pairs.batch(np.array([0, 1]), np.array([visit, visit]))[1]) for visit in range(3)]
    assert seen == [["A", "B"], ["D", "B"], ["A", "B"]]


def test_no_usable_paraphrase_at_all():
    with pytest.raises(SettingsError, match=r"none of the 1 unlabeled texts.*unchanged"):
        Pairs(["a"], [[Paraphrase(text="a", status="unchanged")]], Letters, method="test")
