"""Typos: the four kinds, on the keys beside, inside of words."""

from collections import Counter

import pytest

from text_uda.augment.typos import NEIGHBOURS, Typos
from text_uda.augment.words import NEGATIONS
from text_uda.errors import SettingsError


def mistyped(text: str, samples: int = 60, **settings) -> list[str]:
    return [str(each.text) for each in Typos(**settings)([text] * samples, range(samples))]


@pytest.mark.parametrize(
    ("key", "beside"),
    [("a", "qswz"), ("g", "bfhtvy"), ("p", "lo"), ("m", "jkn"), ("q", "aw"), ("z", "asx"), ("s", "adewxz")],
)
def test_the_keys_beside(key: str, beside: str):
    assert set(NEIGHBOURS[key]) == set(beside)


def test_beside_is_mutual():
    assert all(key in NEIGHBOURS[other] for key, others in NEIGHBOURS.items() for other in others)


def kind(word: str, typo: str) -> str:
    """What was done, found out without the code that did it."""
    assert (typo[0], typo[-1]) == (word[0], word[-1])
    if len(typo) < len(word):
        assert any(word[:at] + word[at + 1 :] == typo for at in range(1, len(word) - 1))
        return "omission"
    if len(typo) > len(word):
        places = [at for at in range(1, len(typo) - 1) if typo[:at] + typo[at + 1 :] == word]
        assert any(typo[at] in NEIGHBOURS[typo[at - 1]] for at in places)
        return "insertion"
    apart = [at for at in range(len(word)) if word[at] != typo[at]]
    if len(apart) == 2:
        assert apart[1] == apart[0] + 1 and word[apart[0]] + word[apart[1]] == typo[apart[1]] + typo[apart[0]]
        return "transposition"
    assert len(apart) == 1 and typo[apart[0]] in NEIGHBOURS[word[apart[0]]]
    return "substitution"


def test_the_four_kinds_are_drawn_alike():
    made = Counter(kind("Watchful", typo) for typo in mistyped("Watchful", samples=2000))
    assert len(made) == 4 and sum((count - 500) ** 2 / 500 for count in made.values()) < 16.3  # p = 0.001


def test_letters_that_are_alike_are_not_exchanged():
    assert {kind("book", typo) for typo in mistyped("book", samples=100)} == {"omission", "insertion", "substitution"}


@pytest.mark.parametrize(("rate", "count"), [(0.01, 1), (0.1, 2), (0.5, 10), (1.0, 20)])
def test_a_share_of_the_words(rate: float, count: int):
    words = ["watchful"] * 20
    for made in Typos(rate=rate)([" ".join(words)] * 10, range(10)):
        changed = sum(old != new for old, new in zip(words, str(made.text).split(), strict=True))
        assert changed == count == 20 * made.scores["change_rate"]


def test_no_negation_is_lost_or_made():
    text = "never knot, without note nothing noot, noor"
    for made in mistyped(text, samples=200, rate=1.0):
        assert [word for word in made.replace(",", "").split() if word in NEGATIONS] == ["never", "without", "nothing"]


def test_short_protected_and_foreign_words_stay():
    text = "a cat saw McDonald, Oscar, naïve, GREAT and don't http://movie.com/great great"
    for made in mistyped(text, rate=1.0, protect=("great",)):
        assert made == text


@pytest.mark.parametrize("settings", [{"rate": 0}, {"rate": 1.5}, {"protect": "good"}])
def test_settings_out_of_range(settings: dict):
    with pytest.raises(SettingsError):
        Typos(**settings)
