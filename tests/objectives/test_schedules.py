"""Schedules against values worked out by hand."""

import math
from itertools import pairwise

import pytest

from text_uda.objectives.schedules import (
    SCHEDULES,
    constant_rate,
    cosine_7_16,
    cosine_decay,
    linear_decay,
    linear_ramp,
    ramp_up,
    tsa_threshold,
)


@pytest.mark.parametrize(
    ("schedule", "share", "alpha"),
    [
        ("linear", 0.0, 0.0),
        ("linear", 0.5, 0.5),
        ("log", 0.5, 1 - math.exp(-2.5)),
        ("exp", 0.5, math.exp(-2.5)),
        ("exp", 1.0, 1.0),
        ("linear", 1.0, 1.0),
    ],
)
def test_tsa_threshold(schedule, share, alpha):
    eta = tsa_threshold(schedule, step=int(100 * share), steps=100, classes=5)
    assert eta == pytest.approx(alpha * (1 - 1 / 5) + 1 / 5)


def test_the_schedules_differ_in_the_order_of_the_paper():
    middle = [tsa_threshold(name, step=30, steps=100, classes=5) for name in ("exp", "linear", "log")]
    assert middle == sorted(middle) and len(set(middle)) == 3


def test_ramp_up():
    assert ramp_up(step=0, steps=100, share=0.5) == pytest.approx(math.exp(-5))
    assert ramp_up(step=25, steps=100, share=0.5) == pytest.approx(math.exp(-5 / 4))
    assert ramp_up(step=50, steps=100, share=0.5) == 1.0
    assert ramp_up(step=0, steps=100, share=0.0) == 1.0


def test_linear_decay_warms_up_and_ends_near_zero():
    factors = [linear_decay(step=step, steps=10, warmup_steps=4) for step in range(10)]
    assert factors[:4] == [0.25, 0.5, 0.75, 1.0]
    assert factors[4] == 1.0 and factors[-1] == pytest.approx(1 / 6)
    assert all(later <= earlier for earlier, later in pairwise(factors[4:]))


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0.0, 0.5, {0: 0, 1: 0.2, 4: 0.8, 5: 1, 9: 1}),
        (0.2, 0.6, {0: 0, 2: 0, 3: 0.25, 6: 1}),
        (0.3, 0.3, {0: 0, 2: 0, 3: 1}),
        (0.0, 0.0, {0: 1, 9: 1}),
    ],
)
def test_linear_ramp(start, end, expected):
    found = {step: linear_ramp(step=step, steps=10, start=start, end=end) for step in expected}
    assert found == pytest.approx(expected)


def test_cosine_over_7_16():
    rates = [cosine_7_16(step=step, steps=110, warmup_steps=10) for step in range(111)]
    assert rates[:3] == pytest.approx([0.1, 0.2, 0.3]) and rates[9] == rates[10] == 1
    assert rates[60] == pytest.approx(math.cos(7 * math.pi / 32))
    assert rates[110] == pytest.approx(0.19509, abs=1e-5), "it does not come to 0"
    assert all(later < earlier for earlier, later in pairwise(rates[10:]))


def test_half_a_cosine():
    rates = [cosine_decay(step=step, steps=110, warmup_steps=10) for step in range(111)]
    assert rates[9] == rates[10] == 1 and rates[60] == pytest.approx(0.5) and rates[110] == pytest.approx(0)
    assert rates[35] == pytest.approx(0.5 + math.sqrt(2) / 4) and rates[85] == pytest.approx(0.5 - math.sqrt(2) / 4)


def test_a_rate_that_stays():
    assert [constant_rate(step=step, steps=6, warmup_steps=0) for step in range(6)] == [1.0] * 6
    assert [constant_rate(step=step, steps=6, warmup_steps=4) for step in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]


@pytest.mark.parametrize("name", list(SCHEDULES))
def test_each_schedule_has_the_warm_up_and_begins_at_its_end(name):
    rates = [SCHEDULES[name](step=step, steps=20, warmup_steps=4) for step in range(20)]
    assert rates[:5] == [0.25, 0.5, 0.75, 1, 1] and all(0 < rate <= 1 for rate in rates)
    assert SCHEDULES[name](step=0, steps=20, warmup_steps=0) == 1
    assert SCHEDULES[name](step=19, steps=20, warmup_steps=20) == 1, "a warm-up may be all of the run"
