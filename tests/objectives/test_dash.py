"""Dash: the falling threshold, the loss of the first step that it starts with, and values."""

import math

import numpy as np
import pytest
import torch

from text_uda.errors import SettingsError
from text_uda.objectives.dash import Dash, loss_threshold


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def test_the_thresholds_by_hand():
    found = [loss_threshold(0.8, decays=number, gamma=2.0, slack=1.5, least=0.2) for number in range(5)]
    assert found == pytest.approx([1.2, 0.6, 0.3, 0.2, 0.2])


def test_the_thresholds_of_a_benchmarks_code():
    # dash/utils.py of microsoft/Semi-supervised-learning at 50bafa5, rho_init 1.1 and its default settings
    expected = {0: 1.1001100000000001, 1: 0.8662283464566929, 5: 0.332979508294654, 12: 0.06248725701164915, 13: 0.05}
    for number, threshold in expected.items():
        found = loss_threshold(1.1, decays=number, gamma=Dash.gamma, slack=Dash.slack, least=Dash.least)
        assert found == pytest.approx(threshold)


def test_by_hand(evaluate):
    # -log max p of the weak views: log(4/3) = 0.29, log 2 = 0.69. The labeled loss is log 2, so that in the second half
    # rho is log 2 / 1.5 = 0.46 and the first row alone counts; its strong view (1/4, 3/4) loses log 4.
    views = {
        "labeled": torch.zeros(2, 2),
        "targets": torch.tensor([[math.log(3.0), 0.0], [0.0, 0.0]]),
        "second": torch.tensor([[0.0, math.log(3.0)], [1.0, 0.0]]),
    }
    objective = Dash(weight=2.0, gamma=1.5, slack=1.0001, decays=2)
    first = evaluate(objective, **views, step=4)
    assert first.terms["confident"] == 1.0 and first.terms["threshold"] == pytest.approx(0.5, abs=1e-3)
    second = evaluate(objective, **views, step=5)
    assert second.terms["confident"] == 0.5
    assert second.terms["threshold"] == pytest.approx(math.exp(-1.0001 * math.log(2) / 1.5))
    assert second.total.item() == pytest.approx(2 * math.log(4) / 2, abs=1e-6)


def test_the_labeled_loss_of_the_first_step_is_kept(evaluate, random_logits):
    objective = Dash()
    state = objective.initial_state(torch.full((2,), 1 / 2), 1)
    assert state["initial_loss"].isnan()
    unlabeled = {"targets": random_logits(0, 6, 2), "second": random_logits(1, 6, 2)}
    labeled, labels = torch.tensor([[math.log(3.0), 0.0], [0.0, 0.0]]), torch.tensor([1, 0])
    kept = (math.log(4) + math.log(2)) / 2
    for step in range(3):
        evaluate(objective, labeled=labeled, labels=labels, **unlabeled, state=state, step=step, steps=100)
        assert state["initial_loss"].item() == pytest.approx(kept)
        labeled = labeled + 3  # with another loss
        labels = 1 - labels


def test_the_threshold_is_lowered_after_equal_parts_of_the_run(evaluate, random_logits):
    objective, state = Dash(decays=4, gamma=2.0, slack=1.0, least=0.3), {"initial_loss": torch.tensor(2.0)}
    views = {"labeled": random_logits(0), "targets": random_logits(1), "second": random_logits(2)}
    found = [
        -math.log(evaluate(objective, **views, state=state, step=step, steps=12).terms["threshold"])
        for step in range(12)
    ]
    assert found == pytest.approx([2.0] * 3 + [1.0] * 3 + [0.5] * 3 + [0.3] * 3)


@pytest.mark.parametrize("step", [0, 29, 60, 99])
@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_numpy(evaluate, random_logits, seed, step):
    weak, strong, rho = random_logits(seed), random_logits(seed + 10), 0.9
    state = {"initial_loss": torch.tensor(rho, dtype=torch.float64)}
    loss = evaluate(
        Dash(decays=100, gamma=1.05), labeled=weak, targets=weak, second=strong, state=state, step=step, steps=100
    )
    threshold = max(1.0001 * rho / 1.05**step, 0.05)
    p, q = softmax(weak.numpy()), softmax(strong.numpy())
    kept = [-np.log(other[one.argmax()]) for one, other in zip(p, q, strict=True) if -np.log(one.max()) <= threshold]
    assert loss.total.item() == pytest.approx(sum(kept) / len(p), abs=1e-6)
    assert loss.terms["confident"].item() == pytest.approx(len(kept) / len(p))


@pytest.mark.parametrize(
    "wrong", [{"weight": -1}, {"gamma": 1.0}, {"gamma": math.nan}, {"slack": 0}, {"least": 0}, {"decays": 0}]
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        Dash(**wrong)
