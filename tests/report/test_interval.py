"""Means over seeds: Student's interval, and what one value does not say."""

import pytest

from text_uda.report.interval import estimate


def test_interval_by_hand():
    # Mean 2, standard deviation 1, three values: 4.302653 / sqrt(3).
    found = estimate([1.0, 2.0, 3.0])
    assert found is not None
    assert (found.mean, found.count) == (2.0, 3)
    assert found.half_width == pytest.approx(2.4841, abs=1e-4)
    assert (found.low, found.high) == pytest.approx((2 - 2.4841, 2 + 2.4841), abs=1e-4)
    assert found.text() == "2.0 ± 2.5"


def test_one_value_has_no_interval():
    found = estimate([-1.25])
    assert found is not None and found.half_width is None
    assert found.text(sign=True) == "−1.2"
    assert estimate([]) is None
