"""EDA: one of its four operations at a time, all alike."""

from collections import Counter

import pytest

from text_uda.augment.deletion import Deletion
from text_uda.augment.eda import EDA
from text_uda.augment.insertion import Insertion
from text_uda.augment.swap import Swap
from text_uda.augment.synonym import Synonym
from text_uda.errors import SettingsError
from text_uda.text.wordnet import DEBIAN

pytestmark = pytest.mark.skipif(not (DEBIAN / "index.sense").exists(), reason="needs Debian's WordNet")

TEXT = "The old movie about brave children who bought large houses quickly shines beyond measure"


def test_each_of_the_four_alike():
    samples = range(1200)
    made = EDA(rate=0.3, seed=5)([TEXT] * 1200, samples)
    alone = [each(rate=0.3, seed=5)([TEXT] * 1200, samples) for each in (Synonym, Insertion, Swap, Deletion)]
    drawn = Counter[int]()
    for sample, paraphrase in enumerate(made):
        by = [number for number, others in enumerate(alone) if others[sample] == paraphrase]
        assert len(by) == 1, "just what one of them makes of this text and sample"
        drawn.update(by)
    assert sum((count - 300) ** 2 / 300 for count in drawn.values()) < 16.3  # chi-square, 3 degrees, p = 0.001


def test_settings_hold_those_of_the_operations():
    settings = EDA(rate=0.2, protect=("b", "a")).settings()
    assert settings["method"] == "eda" and settings["unit"] == "text"
    assert [each["method"] for each in settings["operations"]] == ["synonym", "insertion", "swap", "deletion"]
    assert all(each["rate"] == 0.2 and each["protect"] == ["a", "b"] for each in settings["operations"])
    assert EDA(seed=1).settings() != EDA().settings()


def test_protected_words_stay():
    for made in EDA(rate=1.0, protect=("brave",))([TEXT] * 50, range(50)):
        assert "brave" in str(made.text).lower()


@pytest.mark.parametrize("settings", [{"rate": 0}, {"rate": 1.5}, {"protect": "good"}])
def test_settings_out_of_range(settings: dict):
    with pytest.raises(SettingsError):
        EDA(**settings)
