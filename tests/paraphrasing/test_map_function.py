"""AugmentColumn: rows without a text."""

from text_uda.augment import Typos
from text_uda.paraphrasing.map_function import AugmentColumn


def test_a_missing_text_stays_missing():
    columns = AugmentColumn(Typos())({"text": [None, "a wonderful film", None]})
    assert columns["augmented"][::2] == [None, None] and columns["augmented"][1] not in (None, "a wonderful film")
    assert columns["augmented_status"] == ["empty", "ok", "empty"]
    assert AugmentColumn(Typos())({"text": [None]})["augmented"] == [None]
