"""Synonyms: the right form in the right place, everything else left byte for byte."""

import re

import pytest

from text_uda.augment import Synonym
from text_uda.augment.synonym import _begins_with_vowel, _candidates
from text_uda.errors import SettingsError
from text_uda.wordnet import DEBIAN

pytestmark = pytest.mark.skipif(not (DEBIAN / "index.sense").exists(), reason="needs Debian's WordNet")

ALL = Synonym(rate=1.0)


def forms(word: str, context: str | None = None) -> set[str]:
    return {candidate.text for candidate in _candidates(word, context)}


@pytest.mark.parametrize(
    ("word", "context", "form"),
    [
        ("movie", None, "film"),
        ("movies", None, "films"),
        ("bought", None, "purchased"),
        ("buys", None, "purchases"),
        ("buying", "PARTICIPLE", "purchasing"),
        ("bigger", None, "larger"),
        ("quickly", None, "rapidly"),
        ("children", None, "kids"),
    ],
)
def test_a_synonym_has_the_form_of_the_word(word: str, context: str | None, form: str):
    assert form in forms(word, context)


@pytest.mark.parametrize(
    ("word", "context"),
    [("eye", None), ("certainly", None), ("compelling", "NOUN"), ("living", "NOUN"), ("xyzzy", None), ("not", None)],
)
def test_no_word_that_would_not_fit(word: str, context: str | None):
    assert not forms(word, context) & {"optic", "sure", "obliging", "populating"}


NASTY = [
    "  Don't   buy it: $3.50, 'n' e-mail me@movie.com or http://movie.com/big?movie=1 !!  ",
    "The movie,\r\nthe MOVIE;\tthe Movie\u00a0was <b>big</b>… 🙂\n",
    "I bought 3 movies (quickly) for the children",
    "\x00\x1b[31m movie \ud800",
]


@pytest.mark.parametrize("text", NASTY)
def test_every_byte_that_is_no_replaced_word_stays(text: str):
    made = ALL([text], [0])[0]
    assert made.text is not None
    apart = re.compile(r"([^\W\d_]+)")
    assert apart.split(made.text)[::2] == apart.split(text)[::2], "what lies between the words"
    for kept in ("Don", "me@movie.com", "http://movie.com/big?movie=1", "3.50", "MOVIE", "<b>big</b>"):
        assert (kept in made.text) == (kept in text)


def test_case_and_article_follow():
    assert ALL(["Movies were made."], [0])[0].text == "Films were made."
    assert _begins_with_vowel("hour") and _begins_with_vowel("effort") and _begins_with_vowel("unusual")
    assert not _begins_with_vowel("useful") and not _begins_with_vowel("unique") and not _begins_with_vowel("movie")
    text = "It was a cheap thing."
    found = {Synonym(rate=1.0, seed=seed)([text], [0])[0].text for seed in range(20)}
    assert "It was an inexpensive thing." in found and not any("a inexp" in str(each) for each in found)


def test_names_negations_and_protected_words_stay():
    text = "We saw Movie Tickets, not a bad movie, never."
    assert "Movie Tickets, not a" in str(ALL([text], [0])[0].text)
    protecting = Synonym(rate=1.0, protect=("movie",))([text], [0])[0]
    assert " movie," in str(protecting.text)


def test_a_share_of_the_words():
    text = "the movie about children who bought big houses quickly " * 20
    for rate in (0.1, 0.3):
        made = Synonym(rate=rate)([text], [0])[0]
        assert made.scores["change_rate"] == pytest.approx(rate, abs=0.01)


def test_a_pure_function_of_settings_text_and_sample():
    texts = ["the movie about children who bought it quickly", "a big movie", *NASTY]
    together = Synonym()(texts, [1] * len(texts))
    assert [Synonym()([text], [1])[0] for text in reversed(texts)][::-1] == together
    both = Synonym()([text for text in texts for _ in range(2)], [0, 1] * len(texts))
    assert both[1::2] == together and both[::2] == Synonym()(texts, [0] * len(texts))
    assert Synonym(seed=1)(texts, [1] * len(texts)) != together != Synonym()(texts, [0] * len(texts))


@pytest.mark.parametrize("text", ["", "  ", "and not the of", "日本語", "42"])
def test_what_cannot_change_says_so(text: str):
    made = ALL([text], [0])[0]
    assert (made.status, made.text, made.scores["change_rate"]) == ("unchanged", text, 0.0)


@pytest.mark.parametrize("rate", [0, -0.1, 1.1])
def test_settings_out_of_range(rate: float):
    with pytest.raises(SettingsError, match="rate"):
        Synonym(rate=rate)
