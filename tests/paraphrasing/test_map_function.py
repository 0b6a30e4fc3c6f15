"""AugmentColumn: rows without a text."""

import pickle

from text_uda.augment import Typos
from text_uda.paraphrasing.map_function import AugmentColumn
from translation_cache import Job, Paraphrase


class Shout(Job):
    def settings(self) -> dict:
        return {"method": "shout", "version": 1, "unit": "text"}

    def __call__(self, sources, samples):
        return [Paraphrase(source.upper()) for source in sources]


def test_an_augmentation_that_is_no_dataclass_can_be_pickled():
    columns = pickle.loads(pickle.dumps(AugmentColumn(Shout())))({"text": ["a film"]})
    assert columns["augmented"] == ["A FILM"]


def test_a_missing_text_stays_missing():
    columns = AugmentColumn(Typos())({"text": [None, "a wonderful film", None]})
    assert columns["augmented"][::2] == [None, None] and columns["augmented"][1] not in (None, "a wonderful film")
    assert columns["augmented_status"] == ["empty", "ok", "empty"]
    assert AugmentColumn(Typos())({"text": [None]})["augmented"] == [None]
