"""SoftMatch: the weight, the running mean and variance, and values."""

import math

import numpy as np
import pytest
import torch

from text_uda.errors import SettingsError
from text_uda.objectives.softmatch import SoftMatch, gaussian_weight


def waves(start: float) -> torch.Tensor:
    """Logits (8, 3), surer from row to row."""
    return (4 * torch.sin(torch.arange(24.0).double() * 1.7 + start)).view(8, 3) * torch.linspace(0.1, 1.5, 8)[:, None]


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def test_the_weight_by_hand():
    # mu = 0.6, sigma = 0.1: one deviation below weighs exp(-1/2), two exp(-2); at the mean and above, 1
    confidence, mean, variance = torch.tensor([0.4, 0.5, 0.6, 0.9]), torch.tensor(0.6), torch.tensor(0.01)
    weights = gaussian_weight(confidence, mean, variance, deviations=1.0)
    assert weights.tolist() == pytest.approx([math.exp(-2), math.exp(-0.5), 1.0, 1.0], abs=1e-6)
    assert gaussian_weight(confidence, mean, variance, deviations=2.0)[1].item() == pytest.approx(
        math.exp(-2), abs=1e-6
    )


def test_a_variance_of_zero_gives_weights_that_are_numbers():
    weights = gaussian_weight(torch.tensor([0.5, 0.6]), torch.tensor(0.6), torch.tensor(0.0), deviations=2.0)
    assert weights.tolist() == [0.0, 1.0]


def test_the_state_by_hand(evaluate):
    # p = (0.9, 0.1) and (0.3, 0.7): the mean is (0.6, 0.4), and with half of (0.5, 0.5) it is (0.55, 0.45)
    objective = SoftMatch(momentum=0.5)
    state = objective.initial_state(torch.full((2,), 1 / 2), 1)
    weak = torch.tensor([[math.log(9.0), 0.0], [0.0, math.log(7 / 3)]])
    loss = evaluate(objective, targets=weak, second=torch.zeros(2, 2), state=state)
    assert state["mean_prediction"].tolist() == pytest.approx([0.55, 0.45])
    first = (0.9 / 0.55) / (0.9 / 0.55 + 0.1 / 0.45)  # the confidences after the alignment
    second = (0.7 / 0.45) / (0.3 / 0.55 + 0.7 / 0.45)
    mean = (first + second) / 2
    variance = (first - mean) ** 2 + (second - mean) ** 2  # divided by 2 - 1
    assert state["mean"].item() == pytest.approx(0.25 + 0.5 * mean, abs=1e-6)
    assert state["variance"].item() == pytest.approx(0.5 + 0.5 * variance, abs=1e-6)
    assert loss.terms["threshold"].item() == pytest.approx(0.25 + 0.5 * mean, abs=1e-6)
    evaluate(objective, targets=weak[:1], second=torch.zeros(1, 2), state=state)
    assert state["variance"].item() == pytest.approx(0.5 + 0.5 * variance, abs=1e-6)  # one row has no variance


def test_the_alignment_decides_the_weight_and_not_the_label(evaluate):
    # nearly everything is class 0, so that (0.6, 0.4) is aligned to class 1; the label stays 0
    objective = SoftMatch(momentum=0.999999)
    state = objective.initial_state(torch.full((2,), 1 / 2), 1) | {"mean_prediction": torch.tensor([0.9, 0.1])}
    state |= {"mean": torch.tensor(0.9), "variance": torch.tensor(0.01)}
    strong = torch.tensor([[math.log(3.0), 0.0]])
    loss = evaluate(objective, targets=torch.tensor([[math.log(1.5), 0.0]]), second=strong, state=state)
    aligned = 4 / (4 + 2 / 3)
    weight = math.exp(-((aligned - 0.9) ** 2) / (2 * 0.01 / 4))
    assert loss.total.item() == pytest.approx(weight * math.log(4 / 3), abs=1e-5)


@pytest.mark.parametrize("momentum", [0.0, 0.7])
@pytest.mark.parametrize("deviations", [1.0, 2.0])
def test_agrees_with_numpy_over_several_steps(evaluate, random_logits, momentum, deviations):
    objective = SoftMatch(momentum=momentum, deviations=deviations)
    state = {name: value.double() for name, value in objective.initial_state(torch.full((4,), 1 / 4), 1).items()}
    mu, variance, marginal, m = 0.25, 1.0, np.full(4, 0.25), momentum
    for seed in range(4):
        weak, strong = random_logits(seed), random_logits(seed + 10)
        p = softmax(weak.numpy())
        marginal = m * marginal + (1 - m) * p.mean(axis=0)
        aligned = p / marginal
        confidence = (aligned / aligned.sum(axis=1, keepdims=True)).max(axis=1)
        mu, variance = m * mu + (1 - m) * confidence.mean(), m * variance + (1 - m) * confidence.var(ddof=1)
        weights = np.where(confidence < mu, np.exp(-(deviations**2) * (confidence - mu) ** 2 / (2 * variance)), 1.0)
        losses = -np.log(softmax(strong.numpy())[np.arange(12), p.argmax(axis=1)])
        loss = evaluate(objective, targets=weak, second=strong, state=state)
        assert loss.total.item() == pytest.approx((weights * losses).mean(), abs=1e-6)
        assert loss.terms["confident"].item() == pytest.approx(weights.mean(), abs=1e-6)


def test_the_numbers_of_the_authors_code(evaluate):
    # softmatch/utils.py at 5d09751 and hooks/dist_align.py at 48de4bf of microsoft/Semi-supervised-learning, ema_p 0.5,
    # n_sigma 2, with a mean prediction that starts uniform: loss, mean weight, mean, variance
    expected = [
        (0.605515667915365, 0.9920300557394222, 0.565086998583974, 0.5214090401271791),
        (0.8785073187222237, 0.9459402271083341, 0.6733608018064623, 0.2845348828684394),
        (0.20789119810796491, 0.8542454682377804, 0.7487805097496626, 0.16713880809283463),
        (4.53118751539692, 0.695510274865119, 0.742125391882746, 0.1153264482053894),
    ]
    objective = SoftMatch(momentum=0.5)
    state = {name: value.double() for name, value in objective.initial_state(torch.full((3,), 1 / 3), 1).items()}
    for weak, strong, numbers in zip((0.0, 1.0, 2.0, 0.3), (0.5, 1.5, 2.5, 3.5), expected, strict=True):
        terms = evaluate(objective, targets=waves(weak), second=waves(strong), state=state).terms
        found = [terms["softmatch"], terms["confident"], state["mean"], state["variance"]]
        assert [each.item() for each in found] == pytest.approx(list(numbers), abs=2e-6)  # they add 1e-6 to the means


@pytest.mark.parametrize("wrong", [{"weight": -1}, {"deviations": 0}, {"momentum": 1}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        SoftMatch(**wrong)
