"""Back-translation: what is rejected and why, and Apertium's for real."""

import pytest

from text_uda.augment import BackTranslation
from text_uda.augment.backtranslate import match_case
from text_uda.errors import SettingsError
from text_uda.translate import Translation
from text_uda.translate.apertium import MODES

installed = pytest.mark.skipif(not (MODES / "eng-spa.mode").exists(), reason="needs Debian's apertium-eng-spa")


@pytest.mark.parametrize(
    ("source", "text", "expected"),
    [
        ("a film", "A movie", "a movie"),
        ("A film", "a movie", "A movie"),
        ("'a film'", "'A movie'", "'a movie'"),
        ("it is mine", "I own it", "I own it"),
        ("the spy", "CIA man", "CIA man"),
        ("3 films", "3 Movies", "3 movies"),
        ("", "Movie", "Movie"),
        ("film", "", ""),
    ],
)
def test_the_first_letter_is_as_in_the_source(source: str, text: str, expected: str):
    assert match_case(source, text) == expected


def test_a_failure_on_either_way_is_told():
    judge = BackTranslation()._judge
    good, cut = Translation("a fine film", "ok", {"log_probability": -0.5}), Translation("a", "truncated")
    assert judge("a good film", cut, good).status == "truncated"
    assert judge("a good film", good, cut).status == "truncated"
    made = judge("a good film", good, good)
    assert made.status == "ok" and made.scores["log_probability_there"] == made.scores["log_probability_back"] == -0.5
    assert made.scores["change_rate"] == pytest.approx(1 / 3) and made.scores["length_ratio"] == 1.0
    assert judge("a good film", good, Translation("", "failed")).text is None


@installed
def test_apertium_there_and_back():
    texts = ["The house is big.", "I have never seen such a beautiful garden!", "Zzyzx."]
    made = BackTranslation()(texts, 0)
    assert [each.status for each in made][::2] == ["unchanged", "unchanged"]
    assert made[1].status == "ok" and made[1].pivot and "jardín" in made[1].pivot
    assert BackTranslation()(texts[::-1], 0)[::-1] == made


@installed
def test_settings_name_everything_that_decides():
    settings = BackTranslation().settings()
    assert settings["there"]["direction"] == "eng-spa" and settings["back"]["release"]
    assert "seed" not in settings, "a seed that changes nothing would make two caches of one"
    assert settings["unit"] == "sentence"


@pytest.mark.parametrize("wrong", [{"translator": "apertium"}, {"temperature": 0.9}, {"translator": "marian:a"}])
def test_settings_out_of_range(wrong: dict):
    with pytest.raises(SettingsError):
        BackTranslation(**wrong)
