"""Tests of differences: by hand and against SciPy."""

import numpy as np
import pytest
from scipy import stats

from text_uda.report.seed_statistics import estimate, holm, mcnemar, paired_t_test, signed


def test_a_difference_that_rounds_to_zero_has_no_minus():
    assert (signed(-0.04), signed(-0.06), signed(0.0)) == ("+0.0", "\N{MINUS SIGN}0.1", "+0.0")


def test_interval_by_hand():
    # Mean 2, standard deviation 1, three values: 4.302653 / sqrt(3).
    interval = estimate([1.0, 2.0, 3.0])
    assert interval is not None
    assert (interval.mean, interval.count) == (2.0, 3)
    assert interval.half_width == pytest.approx(2.4841, abs=1e-4)
    assert (interval.low, interval.high) == pytest.approx((2 - 2.4841, 2 + 2.4841), abs=1e-4)
    assert interval.text() == "2.0 ± 2.5"


@pytest.mark.parametrize("count", [2, 3, 32, 1000])
def test_the_interval_is_scipys(count):
    first, second = np.random.default_rng(count).normal(20, 1, (2, count))
    interval = estimate(list(first - second))
    expected = stats.ttest_rel(first, second).confidence_interval(0.95)
    assert interval is not None and (interval.low, interval.high) == pytest.approx((expected.low, expected.high))


def test_one_value_has_no_interval():
    interval = estimate([-1.25])
    assert interval is not None and interval.half_width is None
    assert interval.text(sign=True) == "−1.2"
    assert estimate([]) is None


@pytest.mark.parametrize("count", [2, 3, 10])
def test_the_paired_t_test_is_scipys(count):
    draws = np.random.default_rng(count)
    first, second = draws.normal(20, 1, count), draws.normal(21, 1, count)
    assert paired_t_test(list(first - second)) == pytest.approx(stats.ttest_rel(first, second).pvalue)


@pytest.mark.parametrize("differences", [[], [1.0], [2.0, 2.0], [0.1 + 0.2, 0.3, 0.3]])
def test_differences_without_spread_have_no_p(differences):
    assert paired_t_test(differences) is None


def test_mcnemar_by_hand():
    # One row that only the first gets right, five that only the second does: 2 (C(6,0) + C(6,1)) / 2^6.
    first = np.array([True] * 4 + [True] + [False] * 5 + [False] * 3)
    second = np.array([True] * 4 + [False] + [True] * 5 + [False] * 3)
    assert mcnemar(first, second) == pytest.approx(2 * 7 / 64)
    assert mcnemar(second, first) == mcnemar(first, second)
    assert mcnemar(first, first) == 1.0


def test_mcnemar_of_many_rows_is_the_binomial_test():
    first, second = np.zeros(3000, dtype=bool), np.zeros(3000, dtype=bool)
    first[:900], second[900:1700] = True, True
    assert mcnemar(first, second) == pytest.approx(stats.binomtest(800, 1700).pvalue)


def test_holm_by_hand():
    # 0.01 x 4; 0.02 x 3; 0.03 x 2 = 0.06, no less than the one before; 0.9 x 1.
    adjusted = holm({"c": 0.03, "a": 0.01, "d": 0.9, "b": 0.02})
    assert adjusted == pytest.approx({"a": 0.04, "b": 0.06, "c": 0.06, "d": 0.9})
    assert list(adjusted) == ["c", "a", "d", "b"]
    assert holm({"a": 0.7, "b": 0.8}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}
