"""Random insertion: a synonym comes in, in the form of its word, where it does no harm."""

from collections import Counter

import pytest

from text_uda.augment.insertion import Insertion
from text_uda.errors import SettingsError
from text_uda.text.wordnet import DEBIAN

pytestmark = pytest.mark.skipif(not (DEBIAN / "index.sense").exists(), reason="needs Debian's WordNet")


def longer(text: str, samples: int = 80, **settings) -> list[str]:
    return [str(each.text) for each in Insertion(**settings)([text] * samples, range(samples))]


def test_after_each_word_alike():
    made = Counter(text.split().index("films") for text in longer("Nice movies bored us all", 1000))
    assert set(made) == {1, 2, 3, 4, 5}
    assert sum((count - 200) ** 2 / 200 for count in made.values()) < 18.5  # chi-square, 4 degrees, p = 0.001


def test_before_the_punctuation_and_inside_of_quotes():
    assert set(longer('"movies", (quickly)')) == {
        '"movies films", (quickly)', '"movies", (quickly films)',
        '"movies rapidly", (quickly)', '"movies", (quickly rapidly)',
        '"movies speedily", (quickly)', '"movies", (quickly speedily)',
    }  # fmt: skip


@pytest.mark.parametrize(("rate", "count"), [(0.01, 1), (0.1, 2), (0.5, 10), (1.0, 20)])
def test_as_many_as_the_rate_asks_for(rate: float, count: int):
    for made in Insertion(rate=rate)(["the movies about them " * 5] * 10, range(10)):
        assert str(made.text).split().count("films") == count
        assert made.scores["change_rate"] == pytest.approx(count / (20 + count))


def test_a_word_with_an_opposite_keeps_clear_of_negations():
    for text in longer("A cheap film that is not good and never dull.", 200, rate=0.3):
        assert "not" in text and "never" in text
        assert "inexpensive" not in text.split("not")[1]
    assert Insertion()(["it is not cheap"], [0])[0].status == "unchanged"


def test_nothing_comes_between_a_negation_and_what_it_negates():
    assert all("never bored" in text and "not bored" in text for text in longer("movies never bored or not bored us"))


def test_articles_follow():
    made = longer("It was a cheap thing", 200)
    assert any("an inexpensive cheap" in text for text in made) and not any("a inexpensive" in text for text in made)


def test_protected_words_give_no_synonym():
    assert Insertion(protect=("movies",))(["we bored movies"], [0])[0].status == "unchanged"


@pytest.mark.parametrize("text", ["", " ", "?!", "of the and to", "http://movie.com/movie don't 42"])
def test_what_cannot_change_says_so(text: str):
    made = Insertion(rate=1.0)([text], [0])[0]
    assert (made.status, made.text, made.scores["change_rate"]) == ("unchanged", text, 0.0)


@pytest.mark.parametrize("settings", [{"rate": 0}, {"rate": 1.5}, {"protect": "good"}])
def test_settings_out_of_range(settings: dict):
    with pytest.raises(SettingsError):
        Insertion(**settings)
