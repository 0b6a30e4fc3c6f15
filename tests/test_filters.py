"""Filters: what is rejected and why, and what changes when they are set anew."""

import pytest

from text_uda.errors import SettingsError
from text_uda.filters import Filters
from translation_cache import Paraphrase


@pytest.mark.parametrize(
    ("source", "text", "reason"),
    [
        ("a good film", "a fine film", None),
        ("a good film", "", "empty"),
        ("a good film", " ... ", "empty"),
        ("A good film!", "a good  film", "unchanged"),
        ("It’s good", "it's good", "unchanged"),
        ("one two three four five", "six", "length-ratio"),
        ("one two", "a b c d e f", "length-ratio"),
        ("so good", "very very very good", "repetition"),
        ("very very very good", "very very very fine", None),
        ("we saw it twice at the cinema", "in a cinema in a cinema in a cinema", "repetition"),
        ("it cost 3.50", "it cost 350", "numbers"),
        ("in 1999 and 1999", "in 1999", "numbers"),
        ("I do not like it", "I like it", "negation"),
        ("I don't like it", "I like this one", "negation"),
        ("I like it", "I never like it", "negation"),
        ("I don't like it", "I do not like it", None),
        ("a knot in the note", "a tie in the note", None),
    ],
)
def test_why_a_paraphrase_is_rejected(source: str, text: str, reason: str | None):
    assert Filters().rejection(source, text) == reason


@pytest.mark.parametrize(
    ("filters", "source", "made", "status"),
    [
        (Filters(), "it cost 3.50", Paraphrase("it cost 350", "numbers"), "numbers"),
        (Filters(accept=("numbers",)), "it cost 3.50", Paraphrase("it cost 350", "numbers"), "ok"),
        (Filters(accept=("numbers",)), "no, it cost 3.50", Paraphrase("it cost 350", "numbers"), "negation"),
        (Filters(max_length_ratio=3), "one two", Paraphrase("a b c d e f", "length-ratio"), "ok"),
        (Filters(max_length_ratio=1.2), "one two three", Paraphrase("a b c d"), "length-ratio"),
        (Filters(min_change=0.5), "a good film", Paraphrase("a fine film"), "small-change"),
        (Filters(max_change=0.3), "a good film", Paraphrase("a fine film"), "large-change"),
        (Filters(min_change=0.01), "3 good films", Paraphrase("4 good films"), "ok"),
        (Filters(max_length_ratio=1.1), "one two", Paraphrase("a b c d"), "length-ratio"),
        (Filters(accept=("numbers", "negation")), "one", Paraphrase("two", "truncated"), "truncated"),
        (Filters(), "one", Paraphrase(None, "failed"), "failed"),
    ],
)
def test_set_anew(filters: Filters, source: str, made: Paraphrase, status: str):
    assert filters(source, made) == status


@pytest.mark.parametrize(
    "wrong",
    [
        {"accept": ("unchanged",)},
        {"max_length_ratio": 1.0},
        {"max_length_ratio": float("nan")},
        {"min_change": 2.0},
        {"max_change": -1.0},
        {"min_change": 0.5, "max_change": 0.4},
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict):
    with pytest.raises(SettingsError):
        Filters(**wrong)
