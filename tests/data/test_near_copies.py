"""Which texts are near copies of one another, and which are not."""

import numpy as np
import pytest

from text_uda.data.near_copies import copy_groups, essence, first_copies, have_near_copy


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("A good film.", "a  GOOD\tfilm!!"),
        ("It\u2019s so-so", "its soso"),
        ("stra\u00dfe", "STRASSE"),
        ("caf\u00e9", "cafe\u0301"),
        ("\uff21\uff22\uff23", "abc"),
        ("zero\u200bwidth", "zerowidth"),
        (" !!\n", "!!"),
        ("It cost 1,000.", "it cost 1000"),
        ("rated 3.5, twice", "Rated 3.5 twice!"),
        ("(1999-2000)", "1999\u20132000"),
    ],
)
def test_near_copies(one: str, other: str):
    assert essence(one) == essence(other) and one != other


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("good film", "good films"),
        ("cafe", "caf\u00e9"),
        ("\N{THUMBS UP SIGN}", "\N{THUMBS DOWN SIGN}"),
        ("?", "!!!"),
        ("\u0915\u0940", "\u0915\u093e"),  # two vowel signs of Devanagari
        ("$5", "5"),
        ("rated 3.5", "rated 35"),
        ("rated 3.5", "rated 3,5"),
        ("we won 2-1", "we won 21"),
        ("at 10:30", "at 1030"),
        ("1/2 a star", "12 a star"),
        ("-5 degrees", "5 degrees"),
        (".5 stars", "5 stars"),
        ("1.5 and 2", "15 and .2"),
    ],
)
def test_no_near_copies(one: str, other: str):
    assert essence(one) != essence(other)
    assert len({*copy_groups([one, other]).tolist()}) == 2 and not have_near_copy([one], [other])[0]


def test_groups_do_not_depend_on_the_order():
    texts = ["A", "b", "a!", "c", "B", "a"]
    groups = copy_groups(texts)
    assert groups[0] == groups[2] == groups[5] and groups[1] == groups[4] and len({*groups.tolist()}) == 3
    assert copy_groups(texts[::-1]).tolist() == groups[::-1].tolist() and sorted({*groups.tolist()}) == [0, 1, 2]
    assert first_copies(texts).tolist() == [0, 1, 3] and first_copies(()).tolist() == []
    assert have_near_copy(texts, ("c?", "A")).tolist() == [True, False, True, True, False, True]
    assert have_near_copy(texts, ()).tolist() == [False] * 6 and have_near_copy((), texts).dtype == np.bool_
