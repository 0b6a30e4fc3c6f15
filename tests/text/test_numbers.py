"""Numbers of texts, as near copies and filters compare them."""

import random
import re

import pytest

from text_uda.text.numbers import _NUMBER, find_numbers, has_other_numbers


def test_the_quick_pattern_matches_what_the_plain_one_does():
    plain = re.compile(r"(?:(?<![^\s(\[$€£¥])(?<!\d\s)[-−])?(?:(?<![\w.])\.)?\d+(?:[.,:/]\d+)*")
    choose = random.Random(0)
    for _ in range(5000):
        text = "".join(choose.choices(" a(.-−1234,:/$€[x\t٣", k=choose.randrange(30)))
        assert _NUMBER.findall(text) == plain.findall(text), text


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("-5 degrees, .5 and (-3)", ["-5", ".5", "-3"]),
        ("It costs 5 -10 dollars", ["5", "10"]),
        ("It costs 5 - 10 dollars", ["5", "10"]),
        ("from -5 to −10", ["-5", "-10"]),
        ("1,000 at 10:30 or 1/2", ["1000", "10:30", "1/2"]),
        ("3-5 and $-4", ["3", "5", "-4"]),
    ],
)
def test_numbers_in_order(text: str, numbers: list[str]):
    assert find_numbers(text) == numbers


def test_a_hyphen_of_a_range_is_no_sign():
    assert not has_other_numbers("It costs 5 -10 dollars.", "The price is 5 - 10 dollars.")
    assert has_other_numbers("It was -10 degrees.", "It was 10 degrees.")
