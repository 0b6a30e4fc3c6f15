"""Keys: fixed for ever, and no part runs into the next."""

from collections import Counter
from itertools import accumulate

import pytest

from text_uda.keyed_random import Key, keyed_generator, keyed_seed


def test_values_are_fixed():
    # A change of these changes every paraphrase and every run that was ever made.
    assert keyed_seed(0, "labeled", 0) == 26632095787555265298894798189286849982
    assert keyed_generator("a").integers(0, 1000, 3).tolist() == [982, 564, 809]


def test_parts_do_not_run_into_each_other():
    keys = [keyed_seed("ab", "c"), keyed_seed("a", "bc"), keyed_seed("abc"), keyed_seed("ab", "", "c")]
    assert len(set(keys)) == 4


def test_half_a_surrogate_is_a_text_too():
    assert keyed_seed("\ud800") != keyed_seed("\udfff")


def chi_square(counts, expected) -> float:
    return sum((count - each) ** 2 / each for count, each in zip(counts, expected, strict=True))


def test_the_same_key_gives_the_same_numbers():
    def numbers(*parts):
        draws = Key("settings").draws(*parts)
        return [draws.uniform() for _ in range(20)]

    assert numbers("text", 0) == numbers("text", 0)
    others = [numbers("text", 1), numbers("text0", ""), numbers("tex", "t0"), numbers("\ud800", 0)]
    assert all(a != b for index, a in enumerate(others) for b in others[:index])
    assert Key("a").draws("b").uniform() != Key("ab").draws("").uniform()
    assert Key("settings").draws("text", 0).uniform() == 0.7477937683122915, "bytes that caches hang on"


@pytest.mark.parametrize("count", [1, 2, 7])
def test_below_is_uniform(count: int):
    draws = Key("below").draws(count)
    counts = Counter(draws.below(count) for _ in range(7000))
    assert set(counts) == set(range(count))
    assert chi_square([counts[each] for each in range(count)], [7000 / count] * count) < 22.5  # 99.9% at 6


def test_all_sets_are_equally_likely():
    draws = Key("sets").draws()
    counts = Counter(tuple(draws.distinct(5, 2)) for _ in range(5000))
    assert len(counts) == 10 and chi_square(counts.values(), [500] * 10) < 27.9
    assert draws.distinct(4, 4) == [0, 1, 2, 3] and draws.distinct(4, 0) == []


def test_weights():
    weights = [0.0, 1.0, 3.0, 0.0, 4.0, 0.0]
    draws = Key("weights").draws()
    counts = Counter(draws.weighted(list(accumulate(weights))) for _ in range(8000))
    assert set(counts) == {1, 2, 4}
    assert chi_square([counts[1], counts[2], counts[4]], [1000, 3000, 4000]) < 13.8
