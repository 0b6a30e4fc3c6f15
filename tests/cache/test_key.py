"""Keys and fingerprints: fixed for ever, and of content alone."""

import pytest

from translation_cache import CacheError, fingerprint, row_key

MARK = fingerprint({"method": "a", "seed": 0})


def test_values_are_fixed():
    # A change of these loses every cache that was ever made.
    assert MARK == "0ecbe5c782e56985d2512227e5f7b80f"
    assert row_key(MARK, "a text", 1).hex() == "d4c52329a17a122ac1b328c44db73332"


def test_the_order_of_settings_says_nothing():
    assert fingerprint({"seed": 0, "method": "a"}) == MARK
    assert fingerprint({"seed": 1, "method": "a"}) != MARK


def test_each_part_counts():
    keys = [row_key(MARK, "a", 0), row_key(MARK, "a", 1), row_key(MARK, "b", 0), row_key(MARK[::-1], "a", 0)]
    assert len(set(keys)) == 4


@pytest.mark.parametrize("value", [float("nan"), object(), {1, 2}, b"bytes"])
def test_settings_are_plain_json(value):
    with pytest.raises(CacheError, match="plain JSON"):
        fingerprint({"method": value})
