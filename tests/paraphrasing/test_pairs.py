"""Pairs: only usable paraphrases, and what was left out is counted."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from text_uda.data.texts import MappedTexts
from text_uda.errors import SettingsError
from text_uda.model.inputs import pad
from text_uda.paraphrasing.cache_access import paraphrase
from text_uda.paraphrasing.filters import Filters
from text_uda.paraphrasing.pairs import Originals, Pairs, pair_table, write_pairs
from translation_cache import Cache, Job, Paraphrase, stats


class Letters:
    """Rows whose token ids are the letters of the text."""

    def __init__(self, texts):
        self.texts = list(texts)

    def __len__(self):
        return len(self.texts)

    def batch(self, indices):
        return pad([np.array([ord(letter) for letter in self.texts[index]]) for index in indices], pad_id=0)

    @property
    def lengths(self):
        return np.array([len(text) for text in self.texts])


def ok(text, change_rate=0.5):
    return Paraphrase(text=text, scores={"change_rate": change_rate})


def words(inputs):
    return ["".join(chr(i) for i in row if i) for row in inputs.input_ids.tolist()]


def test_a_text_without_a_usable_paraphrase_is_left_out_and_counted():
    samples = [[ok("A", 0.2)], [Paraphrase(text="b", status="unchanged")], [ok("C", 0.4)]]
    pairs = Pairs(pair_table(["a", "b", "c"], samples), Letters, method="test")
    assert len(pairs) == 2
    original, augmented = pairs.batch(np.array([0, 1]), np.array([0, 0]))
    assert (words(original), words(augmented)) == (["a", "c"], ["A", "C"])
    assert pairs.coverage.usable == pytest.approx(2 / 3)
    assert pairs.coverage.change_rate == pytest.approx(0.3)
    assert pairs.coverage.statuses == {"ok": 2, "unchanged": 1} and pairs.coverage.without == {"unchanged": 1}


def test_no_list_of_all_texts_is_made():
    """What is made ready for the model are views of the mapped table."""
    given = []
    samples = [[ok("A"), Paraphrase(text=None, status="empty")], [Paraphrase("b", "unchanged")] * 2, [ok("C"), ok("D")]]
    Pairs(pair_table(["a", "b", "c"], samples), lambda texts: given.append(texts) or Letters(texts), method="test")
    assert all(isinstance(texts, MappedTexts) for texts in given)
    assert [tuple(texts) for texts in given] == [("a", "c"), ("A", "C", "D")]


def test_samples_take_turns_from_visit_to_visit():
    samples = [[ok("A"), Paraphrase(text=None, status="empty"), ok("D")], [ok("B")]]
    pairs = Pairs(pair_table(["a", "b"], samples), Letters, method="test")
    views = [pairs.batch(np.array([0, 1]), np.array([visit, visit])) for visit in range(3)]
    assert [words(augmented) for _, augmented in views] == [["A", "B"], ["D", "B"], ["A", "B"]]
    assert [words(original) for original, _ in views] == [["a", "b"]] * 3, "the text of the sample, on each visit"


def test_no_usable_paraphrase_at_all():
    with pytest.raises(SettingsError, match=r"none of the 1 unlabeled texts.*unchanged"):
        Pairs(pair_table(["a"], [[Paraphrase(text="a", status="unchanged")]]), Letters, method="test")


def test_texts_alone_wait_for_a_view_that_the_step_makes():
    originals = Originals(["a", "b", "c"], Letters)
    original, augmented = originals.batch(np.array([2, 0]), np.array([0, 5]))
    assert (len(originals), words(original), augmented, originals.coverage) == (3, ["c", "a"], None, None)


@dataclass(frozen=True)
class Shout(Job):
    """Upper case by sentence; what has a digit changes it."""

    def settings(self) -> dict:
        return {"method": "shout", "version": 1, "unit": "sentence"}

    def __call__(self, sources, samples):
        made = [(source, source.upper().replace("3", "4") + " AND SO ON") for source in sources]
        return [
            Paraphrase(text, Filters().rejection(source, text) or "ok", scores={"change_rate": 1.0})
            for source, text in made
        ]


def test_pairs_as_a_data_set(tmp_path: Path):
    """Each text with its status, memory-mapped; with another filter other pairs, and nothing is made for it."""
    texts = ["It has 3 parts.", "One good film here. All 3 of us saw it!", "A good long film.", " "]
    cache = Cache(tmp_path / "cache")
    paraphrase(texts, Shout(), cache)
    before = stats(cache)
    pairs = write_pairs(texts, Shout(), cache, tmp_path / "pairs.arrow")
    assert pairs.cache_files == [{"filename": str(tmp_path / "pairs.arrow")}]
    assert pairs["text"][:] == [0, 1, 2, 3] and pairs["status"][:] == ["numbers", "ok", "ok", "empty"]
    assert pairs["paraphrase"][:] == [
        None,
        "ONE GOOD FILM HERE. AND SO ON All 3 of us saw it!",
        "A GOOD LONG FILM. AND SO ON",
        None,
    ]
    assert pairs["fallback_rate"][1] == 0.5 and pairs["source"][:] == texts
    other = write_pairs(texts, Shout(), cache, tmp_path / "other.arrow", filters=Filters(accept=("numbers",)))
    assert other["status"][:] == ["ok", "ok", "ok", "empty"] and other["fallback_rate"][1] == 0.0
    assert other["paraphrase"][0] == "IT HAS 4 PARTS. AND SO ON"
    assert stats(cache) == before


def test_a_data_set_of_pairs_is_whole_or_absent(tmp_path: Path):
    cache = Cache(tmp_path / "cache")
    paraphrase(["One film."], Shout(), cache)
    with pytest.raises(SettingsError, match="not for all texts"):
        write_pairs(["One film.", "Two films."], Shout(), cache, tmp_path / "pairs.arrow")
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]
