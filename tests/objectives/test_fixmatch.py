"""FixMatch: values and the threshold."""

import math

import numpy as np
import pytest
import torch

from text_uda.errors import SettingsError
from text_uda.objectives.fixmatch import FixMatch


def numpy_fixmatch(weak: np.ndarray, strong: np.ndarray, threshold: float) -> float:
    total = 0.0
    for one, other in zip(weak, strong, strict=True):
        probabilities = np.exp(one) / np.exp(one).sum()
        if probabilities.max() >= threshold:
            total -= np.log(np.exp(other)[one.argmax()] / np.exp(other).sum())
    return total / len(weak)


def test_by_hand(evaluate):
    # the first row is of class 0 with 0.8, and its strong view (1/4, 3/4) loses log 4; the second has only 0.6
    weak = torch.tensor([[math.log(4.0), 0.0], [math.log(1.5), 0.0]])
    strong = torch.tensor([[0.0, math.log(3.0)], [0.0, 5.0]])
    loss = evaluate(FixMatch(weight=2.0, confidence_threshold=0.7), targets=weak, second=strong)
    assert loss.total.item() == pytest.approx(2 * math.log(4) / 2, abs=1e-6)
    assert (loss.terms["confident"], loss.terms["agreement"]) == (0.5, 0.0)


@pytest.mark.parametrize("threshold", [0.0, 0.6, 0.95])
@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_numpy(evaluate, random_logits, seed, threshold):
    weak, strong = random_logits(seed), random_logits(seed + 10)
    loss = evaluate(FixMatch(confidence_threshold=threshold), targets=weak, second=strong)
    assert loss.total.item() == pytest.approx(numpy_fixmatch(weak.numpy(), strong.numpy(), threshold), abs=1e-6)


def test_a_confidence_of_exactly_the_threshold_counts(evaluate):
    loss = evaluate(FixMatch(confidence_threshold=0.5), targets=torch.zeros(1, 2), second=torch.zeros(1, 2))
    assert loss.terms["confident"] == 1.0


@pytest.mark.parametrize("wrong", [{"weight": -1}, {"confidence_threshold": 1}, {"confidence_threshold": -0.1}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        FixMatch(**wrong)
