"""Synonyms: the right form in the right place, everything else left byte for byte."""

import re

import pytest

from text_uda.augment import Synonym
from text_uda.augment.words import article_before
from text_uda.errors import SettingsError
from text_uda.text.wordnet import DEBIAN

pytestmark = pytest.mark.skipif(not (DEBIAN / "index.sense").exists(), reason="needs Debian's WordNet")

ALL = Synonym(rate=1.0)


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
    assert [article_before(word) for word in ("hour", "effort", "unusual")] == ["an"] * 3
    assert [article_before(word) for word in ("useful", "unique", "movie")] == ["a"] * 3
    text = "It was a cheap thing."
    found = {Synonym(rate=1.0, seed=seed)([text], [0])[0].text for seed in range(20)}
    assert "It was an inexpensive thing." in found and not any("a inexp" in str(each) for each in found)


def test_names_negations_and_protected_words_stay():
    text = "We saw Movie Tickets, not a bad movie, never."
    assert "Movie Tickets, not a" in str(ALL([text], [0])[0].text)
    protecting = Synonym(rate=1.0, protect=("movie",))([text], [0])[0]
    assert " movie," in str(protecting.text)


def texts_of(text: str, **settings) -> set[str]:
    return {str(Synonym(rate=1.0, seed=seed, **settings)([text], [0])[0].text) for seed in range(8)}


@pytest.mark.parametrize(
    "kept",
    ["a movie star", "two movie stars", "they start up", "they start it up", "of course", "Movie stars"],
)
def test_what_wordnet_has_as_a_phrase_stays_whole(kept: str):
    assert texts_of(kept) == {kept}


@pytest.mark.parametrize("apart", ["a movie, star", "a movie. Star", "they start, up", "they start the movie. Up"])
def test_a_clause_that_ends_between_them_makes_it_no_phrase(apart: str):
    assert apart not in texts_of(apart)


def test_what_has_an_opposite_stays_in_the_scope_of_a_negation():
    assert (
        texts_of("not a cheap one") == {"not a cheap one"} == texts_of("not a cheap one", part_of_speech=("adjective",))
    )
    assert texts_of("a cheap one") == {"an inexpensive one"}
    assert texts_of("not one movie") == {"not one film"}, "a word without an opposite is replaced there too"


@pytest.mark.parametrize("part", ["noun", "verb", "adjective", "adverb"])
def test_only_the_parts_of_speech_that_are_asked_for(part: str):
    text = "The movie was cheap; they can buy all quickly."
    words = {"noun": "movie", "verb": "buy", "adjective": "cheap", "adverb": "quickly"}
    for changed in texts_of(text, part_of_speech=(part,)):
        assert [word in changed for word in words.values()] == [each != part for each in words]


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


@pytest.mark.parametrize("part_of_speech", [("noun", "pronoun"), (), "noun", ("NOUN",)])
def test_an_unknown_part_of_speech_names_the_four(part_of_speech):
    with pytest.raises(SettingsError, match=r"part_of_speech.*noun, verb, adjective, adverb"):
        Synonym(part_of_speech=part_of_speech)


def test_protected_words_are_a_tuple():
    with pytest.raises(SettingsError, match="tuple of words"):
        Synonym(protect="movie")  # type: ignore[arg-type]


def test_settings_are_the_same_however_they_are_listed():
    one = Synonym(protect=("a", "b", "a"), part_of_speech=("verb", "noun"))
    assert one.settings() == Synonym(protect=("b", "a"), part_of_speech=("noun", "verb", "verb")).settings()
    assert one.settings() != Synonym(protect=("a", "b")).settings()
    assert {"method", "version", "unit", "wordnet", "lemminflect"} <= one.settings().keys()


def test_a_long_text():
    text = "the movie was cheap, " * 5000
    made = Synonym(rate=0.1)([text], [0])[0]
    assert made.status == "ok" and len(text) > 100_000 and made.scores["change_rate"] == pytest.approx(0.1)
