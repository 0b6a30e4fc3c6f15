"""Expected calibration error: by hand, against a loop, at the edges of the bins."""

import math

import numpy as np
import pytest

from text_uda.runs.calibration import BINS, calibration_error


def test_by_hand():
    # Bin (14/15, 1]: confidence 0.95 and 0.97, one of two right. Bin (8/15, 9/15]: 0.55 and right.
    probabilities = np.array([[0.95, 0.05], [0.03, 0.97], [0.45, 0.55]])
    found = calibration_error(probabilities, np.array([0, 0, 1]))
    assert found["error"] == pytest.approx(100 * (2 / 3 * abs(0.5 - 0.96) + 1 / 3 * abs(1 - 0.55)))
    assert [place["count"] for place in found["bins"]] == [0] * 8 + [1] + [0] * 5 + [2]
    last = found["bins"][-1]
    assert (last["confidence"], last["accuracy"]) == (pytest.approx(0.96), 0.5)
    assert (last["low"], last["high"]) == (pytest.approx(14 / 15), 1.0)
    assert found["bins"][0]["confidence"] is None and found["bins"][0]["accuracy"] is None


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_a_loop(seed):
    draws = np.random.default_rng(seed)
    probabilities = draws.dirichlet(np.ones(4), size=300).astype(np.float32)
    labels = draws.integers(4, size=300)
    total = 0.0
    for number in range(BINS):
        low, high = number / BINS, (number + 1) / BINS
        inside = [row for row in range(300) if low < float(probabilities[row].max()) <= high]
        if inside:
            accuracy = np.mean([probabilities[row].argmax() == labels[row] for row in inside])
            confidence = np.mean([float(probabilities[row].max()) for row in inside])
            total += len(inside) / 300 * abs(accuracy - confidence)
    assert calibration_error(probabilities, labels)["error"] == pytest.approx(100 * total, abs=1e-9)


def test_an_upper_edge_belongs_to_its_bin_and_rounding_leaves_none_out():
    edge = 9 / BINS
    found = calibration_error(np.array([[edge, 1 - edge], [1.0000001, 0.0]]), np.array([0, 0]))
    assert [place["count"] for place in found["bins"]] == [0] * 8 + [1] + [0] * 5 + [1]


def test_who_is_as_often_right_as_he_says_has_no_error():
    probabilities = np.tile([0.75, 0.25], (8, 1))
    found = calibration_error(probabilities, np.array([0, 0, 0, 1] * 2))
    assert math.isclose(found["error"], 0.0, abs_tol=1e-12)
