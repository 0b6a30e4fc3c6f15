"""Filters: what is rejected and why, and what changes when they are set anew."""

import time

import pytest

from text_uda.errors import SettingsError
from text_uda.paraphrasing.filters import Filters, has_new_repetition
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
        ("我非常喜欢这部电影因为演员都很好", "好", "length-ratio"),
        ("यह कि है", "यह की है", None),
        ("so good", "very very very good", "repetition"),
        ("very very very good", "very very very fine", None),
        ("we saw it twice at the cinema", "in a cinema in a cinema in a cinema", "repetition"),
        ("we liked it", "it is the of the of the of", "length-ratio"),
        ("we liked the end of it", "the of the of the of it", "repetition"),
        ("we all liked the end of it a lot", "on and on we go on and on we go on and on we go", "repetition"),
        ("we liked the end of it", "we liked the end liked the end of it", None),
        ("we laughed at it", "we hahahahahaha at it", "repetition"),
        ("we sang along with it", "we sang nananananananana with it", "repetition"),
        ("good, and long", "good, and lengthy......", "repetition"),
        ("good, and long....", "good, and lengthy........", None),
        ("good, and long....", "good, and lengthy.........", "repetition"),
        ("we hahahahahaha at it", "we hahahahahahaha about it", None),
        ("good    and    long", "good        and         lengthy", None),
        ("it was good", "it was soooo fine", None),
        ("good and fine it is", "very very good and so so fine it is", None),
        ("it cost 3.50", "it cost 350", "numbers"),
        ("in 1999 and 1999", "in 1999", "numbers"),
        ("it cost $1,000.50", "its price was $1000.50", None),
        ("it cost 1,00", "it cost 100", "numbers"),
        ("at -5 degrees", "with 5 degrees", "numbers"),
        ("a gain of .5", "an increase of 5", "numbers"),
        ("in 3-5 days", "in 3 to 5 days", None),
        ("I do not like it", "I like it", "negation"),
        ("I don't like it", "I like this one", "negation"),
        ("I like it", "I never like it", "negation"),
        ("I don't like it", "I do not like it", None),
        ("a knot in the note", "a tie in the note", None),
        ("I dont like it", "I do not like it", None),
        ("it isnt good", "it is good", "negation"),
        ("it wasnt good", "it was good", "negation"),
        ("we cant and wont see it", "we can and will see it", "negation"),
        ("I don ' t like it", "I like this one", "negation"),
        ("I do n't like it", "I like this one", "negation"),
        ("I hardly like it", "I barely like it", None),
        ("it is hardly good", "it is rather good", "negation"),
        ("a vacant lot, a tent", "an empty lot, a tent", None),
        ("on https://a.org/x we saw it", "on https://a.org/x it was seen", None),
        ("on https://a.org/x we saw it", "on https://a.org/y it was seen", "protected"),
        ("{x} and {x}", "{x} and he", "protected"),
        ("it was great 😀", "it was very good", "protected"),
        ("a PG-13 movie on my iPhone", "on my iPhone, a film of PG-13", None),
        ("a PG-13 movie", "a PG-14 movie", "protected"),
        ("The film is very well made, and I liked it", "La película está muy bien hecha y me gustó", "language"),
        ("The film is very well made", "Фильм", "language"),
    ],
)
def test_why_a_paraphrase_is_rejected(source: str, text: str, reason: str | None):
    assert Filters().rejection(source, text) == reason


@pytest.mark.parametrize(
    ("filters", "source", "made", "status"),
    [
        (Filters(), "it cost 3.50", Paraphrase("it cost 350", "numbers"), "numbers"),
        (Filters(accept=("numbers",)), "it cost 3.50", Paraphrase("it cost 350", "numbers"), "ok"),
        (Filters(accept=("protected", "numbers")), "a PG-13 film", Paraphrase("a PG film", "protected"), "ok"),
        # Zorg is a name of --protect, of which a filter does not know
        (Filters(accept=("numbers",)), "a Zorg film", Paraphrase("a good film", "protected"), "protected"),
        (Filters(accept=("protected",)), "a Zorg film", Paraphrase("a good film", "protected"), "ok"),
        (Filters(accept=("language",)), "We saw a film", Paraphrase("Видели фильм раз", "language"), "ok"),
        (Filters(), "We saw a film", Paraphrase("Видели фильм раз", "language"), "language"),
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


def test_time_is_linear():
    for unit in ("a", "ab ", "a b ", "abcdefghi", "n ' ", "..-"):
        text = unit * (30_000 // len(unit))
        start = time.process_time()
        Filters(accept=("length-ratio", "repetition")).rejection("The film is very well made, and I liked it", text)
        has_new_repetition("a film", text)
        assert time.process_time() - start < 2  # measured: 0.2 s
