"""Entropy minimisation: values, gradient, ramp-up."""

import math

import numpy as np
import pytest
import torch

from text_uda.errors import SettingsError
from text_uda.objectives.entmin import EntMin, conditional_entropy


def test_by_hand(evaluate):
    # (3/4, 1/4) and (1/2, 1/2)
    logits = torch.tensor([[math.log(3.0), 0.0], [0.0, 0.0]])
    expected = (math.log(4) - 0.75 * math.log(3) + math.log(2)) / 2
    loss = evaluate(EntMin(weight=2.0, ramp_up=0), original=logits)
    assert loss.total.item() == pytest.approx(2 * expected, abs=1e-6)
    assert loss.terms["entmin"].item() == pytest.approx(expected, abs=1e-6)


def test_the_numbers_of_the_vat_authors_code():
    # entropy_y_x of sungraepark/Adversarial-Dropout (layers.py) at 977b31d
    logits = torch.tensor([[1.0, 0.0, -1.0], [0.5, 2.0, 0.0]], dtype=torch.float64)
    assert conditional_entropy(logits).item() == pytest.approx(0.7921880158156769, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_numpy(evaluate, random_logits, seed):
    logits = random_logits(seed)
    powers = np.exp(logits.numpy())
    probabilities = powers / powers.sum(axis=1, keepdims=True)
    expected = -(probabilities * np.log(probabilities)).sum() / len(logits)
    assert evaluate(EntMin(ramp_up=0), original=logits).total.item() == pytest.approx(expected, abs=1e-6)


def test_the_gradient_equals_finite_differences(evaluate, random_logits):
    logits = random_logits(0).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: evaluate(EntMin(ramp_up=0), original=z).total, (logits,), fast_mode=True)


def test_a_sure_prediction_gives_zero_and_a_gradient_that_is_a_number():
    logits = torch.tensor([[500.0, 0.0, -500.0]], requires_grad=True)
    loss = conditional_entropy(logits)
    loss.backward()
    assert loss.item() == 0
    torch.testing.assert_close(logits.grad, torch.zeros(1, 3))


def test_the_weight_ramps_up(evaluate, random_logits):
    losses = [evaluate(EntMin(ramp_up=0.5), original=random_logits(1), step=step).total.item() for step in (0, 3, 5)]
    assert losses[0] == pytest.approx(losses[2] * math.exp(-5))
    assert losses[0] < losses[1] < losses[2]


@pytest.mark.parametrize(("argument", "value"), [("weight", -1), ("ramp_up", 1.5)])
def test_settings_out_of_range_are_refused(argument, value):
    with pytest.raises(SettingsError, match=argument):
        EntMin(**{argument: value})
