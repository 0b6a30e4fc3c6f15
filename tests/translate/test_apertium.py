"""Apertium itself, where it is installed: aligned whatever the input, and no sentence changes another."""

import random

import pytest

from text_uda.errors import MissingPartError
from text_uda.translate import apertium
from text_uda.translate.apertium import MODES, Apertium
from text_uda.translate.device import WorkerShare

installed = pytest.mark.skipif(not (MODES / "eng-spa.mode").exists(), reason="needs Debian's apertium-eng-spa")

SENTENCES = [
    "This is a good film.",
    "I have never seen anything like it, and I can wreak havoc.",  # `I` is a class its tagger was not trained on
    "We had no trouble sitting for Blade II near the span.",
    "A thought provoking look at how it can wreak havoc in other cultures.",
    "A mediocre exercise in target demographics, unaware that it is a joke.",
    "They can look at the can.",
]
NASTY = [
    "[x] ^word/<n>$ @foo *bar \\ / { } <b>",
    "two\nlines\r\nand a tab\t.",
    "nul \x00 and bell \x07",
    "日本語 is 🙂 fine",
    "it cost $3.50, 5%!",
    "[[w:b:1]]bold[[/]]",
    "…",
    "x" * 3000,
    "half a pair \ud800 here",
    "\x85\u2028",
]


@installed
def test_it_translates():
    there, back = Apertium("eng-spa"), Apertium("spa-eng")
    spanish = there(["The house is big."], [0])[0]
    assert (spanish.text, spanish.status) == ("La casa es grande.", "ok")
    assert back([spanish.text], [0])[0].text == "The house is big."


@installed
def test_unknown_words_are_marked_on_request():
    plain, marked = Apertium("eng-spa"), Apertium("eng-spa", mark_unknown=True)
    texts = [translate(["A frobnicated house."], [0])[0].text for translate in (plain, marked)]
    assert "frobnicated" in texts[0] and "*" not in texts[0]
    assert texts[1].replace("*", "") == texts[0] and "*frobnicated" in texts[1]
    assert marked.settings() == plain.settings() | {"mark_unknown": True}


@installed
@pytest.mark.parametrize("direction", ["eng-spa", "spa-eng"])
def test_a_sentence_does_not_depend_on_those_around_it(direction):
    translate = Apertium(direction)
    alone = [translate([sentence], [0])[0] for sentence in SENTENCES]
    shuffled = SENTENCES * 3
    random.Random(0).shuffle(shuffled)
    for sentence, translation in zip(shuffled, translate(shuffled, [0] * len(shuffled)), strict=True):
        assert translation == alone[SENTENCES.index(sentence)]


@installed
def test_nasty_input_moves_nothing():
    between = [text for nasty in NASTY for text in (nasty, "This is a good film.")]
    found = Apertium("eng-spa")(between, [0] * len(between))
    good = Apertium("eng-spa")(["This is a good film."], [0])[0]
    assert found[1::2] == [good] * len(NASTY)
    assert all("\n" not in translation.text and "\x00" not in translation.text for translation in found)
    assert found[0].text.startswith("[x] ^") and found[8].text == "Costó $3.50, 5%!"


@installed
def test_nothing_to_say_is_empty():
    assert [made.status for made in Apertium("eng-spa")(["\x00\n", "good"], [0, 0])] == ["empty", "ok"]
    assert Apertium("eng-spa")([], []) == []


@installed
def test_its_release_is_in_its_settings():
    settings = Apertium("eng-spa").settings()
    assert settings["direction"] == "eng-spa" and len(settings["release"]) == 16
    assert settings["release"] != Apertium("spa-eng").settings()["release"]


def test_without_it_the_package_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(apertium, "MODES", tmp_path)
    with pytest.raises(MissingPartError, match="apt-get install apertium-eng-spa"):
        Apertium("eng-spa")(["a"], [0])
    apertium._release.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingPartError, match="apt-get install apertium-eng-spa"):
        Apertium("eng-spa").settings()


@installed
def test_a_direction_that_does_not_exist_names_the_nearest():
    with pytest.raises(MissingPartError, match=r"'eng-sap' is not installed \(installed: eng-spa"):
        Apertium("eng-sap")(["a"], [0])


@installed
def test_shares_of_the_sentences_come_back_in_their_places(monkeypatch):
    many = [f"The house number {number} is big." for number in range(200)]
    monkeypatch.setattr(WorkerShare, "cores", lambda _self: 1)
    one = Apertium("eng-spa")(many, [0] * 200)
    monkeypatch.setattr(WorkerShare, "cores", lambda _self: 3)
    assert Apertium("eng-spa")(many, [0] * 200) == one
    assert all(str(number) in made.text for number, made in enumerate(one))
