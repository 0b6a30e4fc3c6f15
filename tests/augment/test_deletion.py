"""Random deletion: words go with their white space, and never what the text stands on."""

import pytest

from text_uda.augment.deletion import Deletion
from text_uda.errors import SettingsError


def shortened(text: str, samples: int = 80, **settings) -> set[str | None]:
    return {each.text for each in Deletion(**settings)([text] * samples, range(samples))}


@pytest.mark.parametrize("rate", [0.1, 0.4])
def test_each_word_by_itself(rate: float):
    text = " ".join(f"word{chr(97 + number)}x" for number in range(20))
    made = Deletion(rate=rate)([text] * 1500, range(1500))
    lengths = [len(str(each.text).split()) for each in made]
    mean = sum(lengths) / 1500
    variance = sum((length - mean) ** 2 for length in lengths) / 1500
    assert mean == pytest.approx(20 * (1 - rate), abs=0.2)
    assert variance == pytest.approx(20 * rate * (1 - rate), rel=0.15), "binomial"
    for each, length in zip(made, lengths, strict=True):
        assert each.scores["change_rate"] == pytest.approx(1 - length / 20)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("big red house", {"big red", "big house", "red house", "big", "red", "house"}),
        ("(big house)", {"(big)", "(house)"}),
        ("(big red house)", {"(big red)", "(big house)", "(red house)", "(big)", "(red)", "(house)"}),
        ("a\u00a0big,\tred house", {"a\u00a0big, house"}),
        ("big\n  red house\r\n", {"big\n  house\r\n", "big\n  red\r\n"}),
        ("  big house  ", {"  big  ", "  house  "}),
        ("big    house", {"big", "house"}),
        ('"big"\nred\n(house)', set()),
    ],
)
def test_the_white_space_that_goes(text: str, left: set[str]):
    made = shortened(text, rate=0.5, samples=200)
    assert left <= made
    assert all(text.count("\n") == str(each).count("\n") for each in made)
    if not left:
        assert made == {text}


def test_a_sentence_keeps_one_word():
    made = shortened("Bright colours. Dull plot", rate=1.0)
    assert made == {"Colours. Dull", "Colours. Plot"}, "the space before a word that is left goes but once"


def test_the_capital_goes_to_the_next_word_and_names_stay():
    assert shortened("The movie shines", rate=0.3) >= {"Movie shines", "Shines"}
    made = shortened("Here Oscar won, and it's MTV", rate=1.0)
    assert all(str(text).startswith("Here Oscar") and str(text).endswith("it's MTV") for text in made)


def test_negations_stay_as_strong_as_they_were():
    text = "It is not only dull, never good, isn't just bad without any joy"
    for made in shortened(text, rate=1.0, samples=10):
        for kept in ("not only", "never", "isn't just", "without"):
            assert kept in str(made).lower()


def test_what_a_negation_denies_stays():
    made = shortened("The film is not boring and rather funny.", rate=0.3, samples=200)
    assert len(made) > 20 and all("not boring" in str(text).lower() for text in made)


def test_articles_follow():
    made = shortened("see an old movie", rate=0.3)
    assert "see a movie" in made and not any("an movie" in str(text) for text in made)


def test_protected_words_stay():
    assert shortened("good movie", rate=1.0, protect=("good",)) == {"good"}


@pytest.mark.parametrize("text", ["", " ", "movie", "of the and to", "?!", "http://a.b/c don't 42"])
def test_what_cannot_change_says_so(text: str):
    made = Deletion(rate=1.0)([text], [0])[0]
    assert (made.status, made.text, made.scores["change_rate"]) == ("unchanged", text, 0.0)


@pytest.mark.parametrize("settings", [{"rate": 0}, {"rate": 1.5}, {"protect": "good"}])
def test_settings_out_of_range(settings: dict):
    with pytest.raises(SettingsError):
        Deletion(**settings)
