"""AdaMatch: the alignment, the relative threshold, the ramp, and values."""

import math

import numpy as np
import pytest
import torch

from text_uda.errors import SettingsError
from text_uda.objectives.adamatch import AdaMatch

FULL = {"step": 5, "steps": 10}


def waves(start: float, rows: int = 8) -> torch.Tensor:
    """Logits (rows, 3), surer from row to row."""
    factors = torch.linspace(0.1, 1.5, rows)[:, None]
    return (4 * torch.sin(torch.arange(3.0 * rows).double() * 1.7 + start)).view(rows, 3) * factors


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def test_by_hand(evaluate):
    # Labeled: (0.8, 0.2) and (0.4, 0.6), mean (0.6, 0.4), mean confidence 0.7. Unlabeled: (0.9, 0.1) and (0.7, 0.3),
    # mean (0.8, 0.2). Aligned: (27/35, 8/35) and (7/15, 8/15), so that at 0.9 * 0.7 = 0.63 the first alone counts.
    objective = AdaMatch(momentum=0.0, weight=2.0)
    state = objective.initial_state(torch.full((2,), 1 / 2), 1)
    labeled = torch.tensor([[math.log(4.0), 0.0], [0.0, math.log(1.5)]])
    weak = torch.tensor([[math.log(9.0), 0.0], [math.log(7 / 3), 0.0]])
    strong = torch.tensor([[math.log(3.0), 0.0], [5.0, 0.0]])
    loss = evaluate(objective, labeled=labeled, targets=weak, second=strong, state=state, **FULL)
    expected = (27 / 35 * math.log(4 / 3) + 8 / 35 * math.log(4)) / 2
    assert loss.total.item() == pytest.approx(2 * expected, abs=1e-6)
    assert loss.terms["threshold"].item() == pytest.approx(0.63)
    assert (loss.terms["confident"], loss.terms["agreement"]) == (0.5, 1.0), (
        "the row that counts has one class in both views"
    )
    assert state["labeled_mean"].tolist() == pytest.approx([0.6, 0.4])
    assert state["mean_prediction"].tolist() == pytest.approx([0.8, 0.2])


def test_the_running_means_by_hand(evaluate):
    objective = AdaMatch(momentum=0.9)
    state = objective.initial_state(torch.full((2,), 1 / 2), 1)
    certain = torch.tensor([[50.0, 0.0]])
    for share in (0.55, 0.595):  # 0.9 * 0.5 + 0.1, 0.9 * 0.55 + 0.1
        evaluate(objective, labeled=certain, targets=-certain, second=certain, state=state)
        assert state["labeled_mean"].tolist() == pytest.approx([share, 1 - share])
        assert state["mean_prediction"].tolist() == pytest.approx([1 - share, share])


def test_the_weight_follows_a_cosine_to_the_middle_of_the_run(evaluate, random_logits):
    views = {"labeled": random_logits(0, 4), "targets": random_logits(1), "second": random_logits(2)}
    losses = [evaluate(AdaMatch(weight=2.0), **views, step=step, steps=12) for step in (0, 2, 3, 4, 6, 9, 11)]
    weights = [loss.terms["adamatch_weight"] for loss in losses]
    assert weights == pytest.approx([0.0, 0.5, 1.0, 1.5, 2.0, 2.0, 2.0])
    for loss, weight in zip(losses, weights, strict=True):
        assert loss.total.item() == pytest.approx(weight * loss.terms["adamatch"].item())


@pytest.mark.parametrize("momentum", [0.0, 0.7])
@pytest.mark.parametrize("relative", [0.7, 0.95])
def test_agrees_with_numpy_over_several_steps(evaluate, random_logits, momentum, relative):
    objective = AdaMatch(momentum=momentum, relative_threshold=relative)
    state = {name: value.double() for name, value in objective.initial_state(torch.full((4,), 1 / 4), 1).items()}
    means, m = [np.full(4, 0.25), np.full(4, 0.25)], momentum
    for seed in range(4):
        labeled, weak, strong = random_logits(seed + 20, 5), random_logits(seed), random_logits(seed + 10)
        p, q = softmax(labeled.numpy()), softmax(weak.numpy())
        means = [m * mean + (1 - m) * new.mean(axis=0) for mean, new in zip(means, (p, q), strict=True)]
        targets = q * means[0] / means[1]
        targets /= targets.sum(axis=1, keepdims=True)
        counted = targets.max(axis=1) >= relative * p.max(axis=1).mean()
        losses = -(targets * np.log(softmax(strong.numpy()))).sum(axis=1)
        loss = evaluate(objective, labeled=labeled, targets=weak, second=strong, state=state, **FULL)
        assert loss.total.item() == pytest.approx((losses * counted).mean(), abs=1e-6)


def test_the_numbers_of_the_authors_code(evaluate):
    # semi_supervised/adamatch.py of google-research/adamatch at f4eaf9d rewritten for torch, with running means
    # of 0.5 and the soft targets of the paper: loss, the share that counts, threshold, ramp
    expected = [
        (0.49522319071909526, 0.75, 0.6591269395380356, 0.0),
        (0.2407780292014246, 0.5, 0.6911436736057417, 0.5),
        (0.17371964130405995, 0.625, 0.7452403304557089, 0.9045084971874737),
        (3.66934636211743, 0.5, 0.7308897370822964, 1.0),
    ]
    objective = AdaMatch(momentum=0.5)
    state = {name: value.double() for name, value in objective.initial_state(torch.full((3,), 1 / 3), 1).items()}
    for number, step in enumerate((0, 5, 8, 12)):
        weak, strong = waves((0.0, 1.0, 2.0, 0.3)[number]), waves(number + 0.5)
        views = {"labeled": waves(number + 3.0, 4), "targets": weak, "second": strong}
        terms = evaluate(objective, **views, state=state, step=step, steps=20).terms
        found = [float(terms[name]) for name in ("adamatch", "confident", "threshold", "adamatch_weight")]
        assert found == pytest.approx(list(expected[number]), abs=2e-6)  # they add 1e-6 to the means


@pytest.mark.parametrize("wrong", [{"weight": -1}, {"relative_threshold": 1}, {"momentum": -0.1}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        AdaMatch(**wrong)
