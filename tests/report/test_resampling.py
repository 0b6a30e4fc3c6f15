"""The pigeonhole bootstrap: against a plain one, where only rows or only seeds vary, and in time."""

import time

import numpy as np
import pytest

from text_uda.report import resampling
from text_uda.report.resampling import pigeonhole_interval
from text_uda.report.seed_statistics import estimate, t_quantile


def differences(seeds: int, rows: int, *, seed: int = 0) -> np.ndarray:
    """In {-1, 0, 1}, with rows that are hard for all seeds."""
    draws = np.random.default_rng(seed)
    hard = draws.random(rows)
    first = draws.random((seeds, rows)) * 0.5 + hard * 0.8 < 0.35
    second = draws.random((seeds, rows)) * 0.5 + hard * 0.8 < 0.38
    return first.astype(float) - second


def test_it_is_owens_bootstrap_but_for_the_widening(monkeypatch):
    """Row by row and seed by seed, as the paper says it, with other random numbers."""
    values = differences(4, 60)
    monkeypatch.setattr(resampling, "t_quantile", lambda degrees: resampling.NORMAL_QUANTILE * np.sqrt(degrees / 4))
    draws = np.random.default_rng(1)
    plain = [values[np.ix_(draws.integers(4, size=4), draws.integers(60, size=60))].mean() for _ in range(20_000)]
    interval = pigeonhole_interval(values, draws=20_000)
    assert interval == pytest.approx(tuple(np.quantile(plain, (0.025, 0.975))), abs=0.012)


def test_where_all_seeds_agree_it_is_the_interval_of_rows():
    row = np.repeat([1.0, 0.0, -1.0], (30, 340, 30))  # mean 0, variance 0.15
    low, high = pigeonhole_interval(np.tile(row, (5, 1)))
    half = 1.96 * np.sqrt(0.15 / 400)
    assert (low, high) == pytest.approx((-half, half), rel=0.08)
    assert pigeonhole_interval(row[None]) == pytest.approx((-half, half), rel=0.08)


def test_where_all_rows_agree_it_is_about_students_of_seeds():
    of_seed = np.array([0.01, 0.03, 0.02, 0.05, 0.0, 0.02, 0.04, 0.03])
    low, high = pigeonhole_interval(np.tile(of_seed[:, None], (1, 50)))
    student = estimate(list(of_seed))
    assert student is not None and student.half_width == pytest.approx(t_quantile(7) * of_seed.std(ddof=1) / np.sqrt(8))
    assert (low, high) == pytest.approx((student.low, student.high), abs=0.15 * student.half_width)


@pytest.mark.parametrize(
    "of_seed", [(0.0, 0.01, 0.02), (0.0, 0.0, 0.03), (-0.05, 0.01, 0.02), (0.01, 0.03, 0.02, 0.05, 0.0)]
)
def test_of_few_seeds_it_is_about_as_wide_as_students(of_seed):
    low, high = pigeonhole_interval(np.tile(np.array(of_seed)[:, None], (1, 50)))
    student = estimate(of_seed)
    assert student is not None and len(of_seed) >= resampling.LEAST_SEEDS
    assert high - low == pytest.approx(2 * student.half_width, rel=0.11)


def test_of_two_seeds_it_would_be_too_narrow():
    low, high = pigeonhole_interval(np.tile([[0.01], [0.03]], (1, 50)))
    student = estimate([0.01, 0.03])
    assert student is not None and high - low == pytest.approx(0.72 * 2 * student.half_width, rel=0.01)
    assert resampling.LEAST_SEEDS > 2


def test_it_is_wider_than_the_interval_of_either():
    values = differences(5, 300)
    low, high = pigeonhole_interval(values)
    of_rows, student = pigeonhole_interval(values.mean(axis=0)[None]), estimate(list(values.mean(axis=1)))
    assert student is not None and high - low > max(of_rows[1] - of_rows[0], 1.6 * (student.half_width or 0))
    assert low < values.mean() < high


def test_the_same_key_gives_the_same_numbers_and_another_does_not():
    values = differences(3, 100)
    assert pigeonhole_interval(values, "a") == pigeonhole_interval(values, "a") != pigeonhole_interval(values, "b")


def test_no_row_that_differs_is_no_difference():
    assert pigeonhole_interval(np.zeros((3, 10))) == (0.0, 0.0)


@pytest.mark.slow
def test_fifty_thousand_rows_and_ten_seeds_take_seconds():
    values = differences(10, 50_000)
    began = time.process_time()
    pigeonhole_interval(values)
    assert time.process_time() - began < 30
