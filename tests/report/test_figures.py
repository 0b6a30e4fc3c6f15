"""Geometry: round ticks, nothing off the canvas, thinned lines."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from text_uda.report import figures
from text_uda.report.comparison import compare
from text_uda.report.reading import read_runs


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=5))
def test_a_scale_holds_its_values(values):
    scale = figures.scale(values, 10, 90)
    assert scale.low <= min(values) * (1 + 1e-9) and scale.high >= max(values) * (1 - 1e-9)
    assert 2 <= len(scale.ticks) <= 8
    assert all(10 <= scale(value) <= 90 for value in values)
    assert len({scale.label(tick) for tick in scale.ticks}) == len(scale.ticks)


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([12.3, 22.4], ["10", "15", "20", "25"]),
        ([0.1, 0.93], ["0.00", "0.25", "0.50", "0.75", "1.00"]),
        ([0, 40_000], ["0k", "10k", "20k", "30k", "40k"]),
        ([0.0], ["0.0", "0.2", "0.4", "0.6"]),
    ],
)
def test_ticks_are_round(values, labels):
    scale = figures.scale(values, 0, 1)
    assert [scale.label(tick) for tick in scale.ticks] == labels


def test_an_interval_beyond_what_an_error_can_be_ends_there(make_run):
    runs = [make_run("none", seed, error=error) for seed, error in enumerate((1.0, 9.0))]
    (comparison,) = compare(read_runs(runs))
    scale, (strip,) = figures.strips(comparison)
    assert scale.low == 0 and scale.high <= 100
    assert strip.low == scale(0) < strip.mean < strip.high


def test_charts_of_what_was_logged(study):
    (comparison,) = compare(read_runs(study))
    error, confident, loss = figures.charts(comparison)
    assert [len(chart.curves) for chart in (error, confident, loss)] == [3, 2, 3]  # none has no threshold
    for chart in (error, confident, loss):
        numbers = re.findall(r"[\d.]+", "".join(curve.mean for curve in chart.curves))
        assert all(0 <= float(x) <= figures.WIDTH for x in numbers[::2])
        assert all(0 <= float(y) <= figures.HEIGHT for y in numbers[1::2])


def test_a_run_without_metrics_has_no_charts(make_run):
    run = make_run()
    (run / "metrics.jsonl").write_text("")
    assert figures.charts(compare(read_runs([run]))[0]) == []


def test_long_lines_are_thinned_by_means():
    line = [(step, float(step % 2)) for step in range(10_000)]
    thinned = figures.thin(line)
    assert len(thinned) <= figures.POINTS
    assert thinned[0][1] == pytest.approx(0.5, abs=0.02)
    assert figures.thin(line[:50]) == line[:50]


def test_the_mean_line_keeps_to_the_steps_that_all_have():
    assert figures.mean_line([[(1, 2.0), (2, 4.0), (3, 9.0)], [(1, 4.0), (2, 6.0)]]) == [(1, 3.0), (2, 5.0)]
