"""A method that a cache does not hold is named as missing, not compared with another method."""

from pathlib import Path

import pytest

from text_uda.augment import Deletion, Swap, Synonym
from text_uda.errors import SettingsError
from text_uda.paraphrasing.cache_access import paraphrase, read_paraphrases

TEXTS = ["a good film with a clever plot", "the food was cold and the room was dark"]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    for augmentation in (Swap(rate=0.3), Deletion(rate=0.3)):
        paraphrase(TEXTS, augmentation, tmp_path / "cache")
    return tmp_path / "cache"


def test_the_missing_method_is_named_with_the_command(cache: Path) -> None:
    with pytest.raises(SettingsError) as error:
        list(read_paraphrases(TEXTS, Synonym(), cache))
    assert str(error.value) == (
        f"not every text has its synonym paraphrases: {cache} holds paraphrases of deletion, swap; none of synonym. "
        f"Run `text-uda paraphrase DATA --method synonym --cache {cache}` with the same data and settings first"
    )


def test_other_settings_of_the_method_are_compared(cache: Path) -> None:
    with pytest.raises(SettingsError, match=r"rate: 0\.3 stored, 0\.9 requested\)") as error:
        list(read_paraphrases(TEXTS, Swap(rate=0.9), cache))
    assert "method:" not in str(error.value)
