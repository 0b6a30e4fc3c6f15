"""The Pi-model: values, gradient into both passes, ramp-up."""

import math

import numpy as np
import pytest
import torch

from text_uda.errors import SettingsError
from text_uda.objectives import PiModel

FULL = PiModel(weight=1.0, ramp_up=0.0)


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def test_by_hand(evaluate):
    # p = (3/4, 1/4), q = (1/2, 1/2): the mean of (1/4)^2 and (1/4)^2
    loss = evaluate(
        PiModel(weight=3.0, ramp_up=0.0), original=torch.tensor([[math.log(3.0), 0.0]]), second=torch.zeros(1, 2)
    )
    assert loss.total.item() == pytest.approx(3 / 16)


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_numpy(evaluate, random_logits, seed):
    original, second = random_logits(seed), random_logits(seed + 10)
    expected = ((softmax(original.numpy()) - softmax(second.numpy())) ** 2).sum() / original.numel()
    assert evaluate(FULL, original=original, second=second).total.item() == pytest.approx(expected, abs=1e-6)


def test_the_gradient_goes_into_both_passes_and_equals_finite_differences(evaluate, random_logits):
    original, second = random_logits(1).requires_grad_(), random_logits(2).requires_grad_()
    evaluate(FULL, original=original, second=second).total.backward()
    assert all(view.grad is not None and view.grad.abs().sum() > 0 for view in (original, second))
    assert torch.autograd.gradcheck(lambda a, b: evaluate(FULL, original=a, second=b).total, (original, second))


def test_identical_views_give_zero(evaluate, random_logits):
    assert evaluate(FULL, original=random_logits(3), second=random_logits(3)).total.item() == 0.0


def test_the_weight_ramps_up(evaluate, random_logits):
    views = {"original": random_logits(4), "second": random_logits(5)}
    full = evaluate(FULL, **views).total.item()
    objective = PiModel(weight=2.0, ramp_up=0.5)
    at = [evaluate(objective, **views, step=step, steps=10).total.item() for step in (0, 3, 5, 9)]
    assert at == pytest.approx([2 * full * math.exp(-5.0), 2 * full * math.exp(-5 * 0.4**2), 2 * full, 2 * full])


@pytest.mark.parametrize("wrong", [{"weight": -1}, {"weight": float("nan")}, {"ramp_up": 1.1}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        PiModel(**wrong)
