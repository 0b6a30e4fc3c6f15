"""Random swap: whole words change places, and nothing else does."""

from collections import Counter
from importlib.metadata import version

import pytest

from text_uda.augment.swap import Swap
from text_uda.errors import SettingsError


def swapped(text: str, **settings) -> set[str | None]:
    return {Swap(**settings)([text], [sample])[0].text for sample in range(60)}


def test_each_pair_is_swapped_alike():
    text = "red green blue grey"
    made = Counter(each.text for each in Swap()([text] * 3000, range(3000)))
    assert len(made) == 6 and all(sorted(str(each).split()) == sorted(text.split()) for each in made)
    assert sum((count - 500) ** 2 / 500 for count in made.values()) < 20.5  # chi-square, 5 degrees, p = 0.001


@pytest.mark.parametrize(("rate", "moved"), [(0.05, 2), (0.1, 4), (0.2, 8), (0.5, 20), (1.0, 20)])
def test_a_word_moves_once_at_most(rate: float, moved: int):
    letters = [f"word{chr(97 + number)}x" for number in range(20)]
    for made in Swap(rate=rate)([" ".join(letters)] * 20, range(20)):
        changed = [(old, new) for old, new in zip(letters, str(made.text).split(), strict=True) if old != new]
        assert len(changed) == moved == 20 * made.scores["change_rate"]
        assert {(new, old) for old, new in changed} == set(changed), "each with its partner"


def test_no_word_crosses_a_negation_or_the_end_of_a_clause():
    assert swapped("grand film, never dull story; old houses") == {
        "film grand, never dull story; old houses",
        "grand film, never story dull; old houses",
        "grand film, never dull story; houses old",
    }


def test_a_text_without_a_pair_stays():
    for text in ("bright isn't good", "slow. fine! film", "movie", "of the and to"):
        made = Swap(rate=1.0)([text], [0])[0]
        assert (made.status, made.text, made.scores["change_rate"]) == ("unchanged", text, 0.0)


def test_what_limits_a_negation_stays_with_it():
    assert all("not only" in str(text) for text in swapped("it is not only dull here", rate=1.0))


def test_the_capital_stays_and_names_do():
    assert swapped("The film. It shines") == {"Film the. It shines", "The film. Shines it"}
    assert swapped("Wasabi seems fine here") >= {"Wasabi fine seems here"}
    assert all(str(text).startswith("Wasabi ") for text in swapped("Wasabi seems fine here"))
    assert all("MTV" in str(text) and " Oscar " in str(text) for text in swapped("on MTV an Oscar winner", rate=1.0))
    assert all(str(text).startswith("I ") for text in swapped("I liked movies", rate=1.0))


def test_articles_follow():
    assert swapped("an old movie") == {"old a movie", "a movie old", "movie old an"}


def test_protected_words_stay():
    assert swapped("good movie fine", protect=("movie",)) == {"fine movie good"}


@pytest.mark.parametrize("settings", [{"rate": 0}, {"rate": 1.5}, {"rate": float("nan")}, {"protect": "good"}])
def test_settings_out_of_range(settings: dict):
    with pytest.raises(SettingsError):
        Swap(**settings)


def test_settings_decide():
    assert Swap().settings() == {
        "method": "swap", "version": 2, "unit": "text", "rate": 0.1, "seed": 0, "protect": [],
        "py3langid": version("py3langid"),
    }  # fmt: skip
    text = "red green blue grey black white"
    assert len({Swap(seed=seed)([text], [0])[0].text for seed in range(20)}) > 5
