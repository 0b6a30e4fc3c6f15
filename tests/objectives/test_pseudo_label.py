"""Pseudo-Label: values, the threshold and the ramp."""

import math

import numpy as np
import pytest
import torch

from text_uda.errors import SettingsError
from text_uda.objectives.pseudo_label import PseudoLabel

FULL = {"step": 9, "steps": 10}


def numpy_pseudo_label(logits: np.ndarray, threshold: float) -> float:
    total = 0.0
    for row in logits:
        probabilities = np.exp(row) / np.exp(row).sum()
        if probabilities.max() >= threshold:
            total -= np.log(probabilities.max())
    return total / len(logits)


def test_by_hand(evaluate):
    # p = (3/4, 1/4) counts from 0.7 on, (1/2, 1/2) does not
    logits = torch.tensor([[math.log(3.0), 0.0], [0.0, 0.0]])
    loss = evaluate(PseudoLabel(weight=3.0, confidence_threshold=0.7), original=logits, **FULL)
    assert loss.total.item() == pytest.approx(3 * math.log(4 / 3) / 2, abs=1e-6)
    assert loss.terms["confident"] == 0.5


@pytest.mark.parametrize("threshold", [0.0, 0.6, 0.95])
@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_numpy(evaluate, random_logits, seed, threshold):
    logits = random_logits(seed)
    loss = evaluate(PseudoLabel(confidence_threshold=threshold), original=logits, **FULL)
    assert loss.total.item() == pytest.approx(numpy_pseudo_label(logits.numpy(), threshold), abs=1e-6)


def test_a_confidence_of_exactly_the_threshold_counts(evaluate):
    assert evaluate(PseudoLabel(confidence_threshold=0.5), original=torch.zeros(1, 2)).terms["confident"] == 1.0


def test_the_weight_grows_in_a_straight_line(evaluate, random_logits):
    objective = PseudoLabel(weight=2.0, ramp_start=0.1, ramp_end=0.6)
    losses = [evaluate(objective, original=random_logits(0), step=step, steps=100) for step in (0, 10, 35, 60, 99)]
    assert [loss.terms["pseudo_label_weight"] for loss in losses] == pytest.approx([0, 0, 1, 2, 2])
    for loss in losses:
        assert loss.total.item() == pytest.approx(loss.terms["pseudo_label_weight"] * loss.terms["pseudo_label"].item())


def test_the_ramp_of_the_authors_of_a_benchmark(evaluate):
    # pseudolabel.py of microsoft/Semi-supervised-learning at 167842a: clip(step / (0.4 steps), 0, 1)
    objective, logits = PseudoLabel(ramp_start=0.0, ramp_end=0.4), torch.zeros(1, 2)
    weights = [evaluate(objective, original=logits, step=step).terms["pseudo_label_weight"] for step in range(6)]
    assert weights == pytest.approx([0, 0.25, 0.5, 0.75, 1, 1])


def test_without_a_ramp_the_weight_is_whole_from_the_first_step_on(evaluate):
    loss = evaluate(PseudoLabel(ramp_start=0.0, ramp_end=0.0), original=torch.zeros(1, 2))
    assert loss.terms["pseudo_label_weight"] == 1.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"weight": -1},
        {"confidence_threshold": 1},
        {"ramp_start": -0.1},
        {"ramp_end": 1.1},
        {"ramp_end": 0.2, "ramp_start": 0.3},
    ],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        PseudoLabel(**wrong)
