"""FreeMatch: the thresholds and their state, the fairness loss, and values."""

import math

import numpy as np
import pytest
import torch

from text_uda.errors import SettingsError
from text_uda.objectives.freematch import FreeMatch, fairness_loss


def waves(start: float) -> torch.Tensor:
    """Logits (8, 3), surer from row to row."""
    return (4 * torch.sin(torch.arange(24.0).double() * 1.7 + start)).view(8, 3) * torch.linspace(0.1, 1.5, 8)[:, None]


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def numpy_fairness(strong: np.ndarray, counted: np.ndarray, mean: np.ndarray, share: np.ndarray) -> float:
    probabilities = softmax(strong)[counted]
    found = np.zeros(strong.shape[1])
    for c in range(strong.shape[1]):
        mine = (probabilities.argmax(axis=1) == c).mean()
        found[c] = probabilities[:, c].mean() / mine if mine else 0.0
    expected = np.array([m / s if s else 0.0 for m, s in zip(mean, share, strict=True)])
    return float((expected / expected.sum() * np.log(found / found.sum() + 1e-12)).sum())


def test_the_state_and_the_thresholds_by_hand(evaluate):
    # p = (0.9, 0.1) and (0.4, 0.6); half of the running means is what they start with
    objective = FreeMatch(momentum=0.5, fairness=0.0)
    state = objective.initial_state(torch.full((2,), 1 / 2), 1)
    weak = torch.tensor([[math.log(9.0), 0.0], [0.0, math.log(1.5)]])
    loss = evaluate(objective, targets=weak, second=torch.zeros(2, 2), state=state)
    assert state["threshold"].item() == pytest.approx(0.5 * 0.5 + 0.5 * 0.75)
    assert state["mean_prediction"].tolist() == pytest.approx([0.25 + 0.5 * 0.65, 0.25 + 0.5 * 0.35])
    assert state["label_share"].tolist() == [0.5, 0.5]
    # the thresholds are 0.625 and 0.625 * 0.425 / 0.575 = 0.462: both rows count, and a fixed 0.625 would drop one
    assert loss.terms["confident"] == 1.0 and loss.terms["threshold"].item() == pytest.approx(0.625)
    assert loss.total.item() == pytest.approx(math.log(2))
    evaluate(objective, targets=weak[:1].repeat(2, 1), second=torch.zeros(2, 2), state=state)
    assert state["threshold"].item() == pytest.approx(0.5 * 0.625 + 0.5 * 0.9)
    assert state["label_share"].tolist() == [0.75, 0.25]


def test_the_fairness_loss_by_hand():
    # p = (0.8, 0.2) and (0.4, 0.6), one row of each class, so p / h = (1.2, 0.8) and 0.6, 0.4 when normalised;
    # p~ / h~ = (0.5 / 0.25, 0.5 / 0.75) = (2, 2/3), which is 3/4 and 1/4
    logits = torch.tensor([[math.log(4.0), 0.0], [0.0, math.log(1.5)], [9.0, 0.0]])
    counted = torch.tensor([True, True, False])
    loss = fairness_loss(logits, counted, torch.tensor([0.5, 0.5]), torch.tensor([0.25, 0.75]))
    assert loss.item() == pytest.approx(0.75 * math.log(0.6) + 0.25 * math.log(0.4), abs=1e-6)


@pytest.mark.parametrize("share", [[0.1, 0.2, 0.3, 0.4], [0.5, 0.0, 0.25, 0.25]])
@pytest.mark.parametrize("seed", range(3))
def test_the_fairness_loss_agrees_with_numpy(random_logits, seed, share):
    logits, mean = random_logits(seed), random_logits(seed + 20, 1)[0].softmax(-1)
    counted, share = torch.arange(12) % (seed + 2) == 0, torch.tensor(share).double()
    expected = numpy_fairness(logits.numpy(), counted.numpy(), mean.numpy(), share.numpy())
    assert fairness_loss(logits, counted, mean, share).item() == pytest.approx(expected, abs=1e-6)


def test_the_fairness_loss_has_a_gradient_where_rows_count_and_none_elsewhere(random_logits):
    mean, share = (random_logits(seed, 1)[0].softmax(-1).requires_grad_() for seed in (20, 21))
    logits, counted = random_logits(0).requires_grad_(), torch.arange(12) % 2 == 0
    fairness_loss(logits, counted, mean.detach(), share.detach()).backward()
    assert logits.grad is not None and logits.grad[::2].abs().sum() > 0 and not logits.grad[1::2].any()
    assert torch.autograd.gradcheck(lambda z: fairness_loss(z, counted, mean.detach(), share.detach()), (logits,))


def test_the_fairness_loss_is_zero_with_a_zero_gradient_when_nothing_counts(random_logits):
    logits, uniform = random_logits(0).requires_grad_(), torch.full((4,), 0.25).double()
    loss = fairness_loss(logits, torch.zeros(12, dtype=torch.bool), uniform, uniform)
    loss.backward()
    assert loss.item() == 0.0 and logits.grad is not None and not logits.grad.any()


def test_the_fairness_loss_is_added_with_its_own_factor(evaluate, random_logits):
    views = {"targets": random_logits(0), "second": random_logits(1)}
    without, half = (evaluate(FreeMatch(weight=2.0, fairness=factor), **views) for factor in (0.0, 0.5))
    assert half.terms["fairness"].item() < -0.1
    assert (half.total - without.total).item() == pytest.approx(0.5 * half.terms["fairness"].item())


@pytest.mark.parametrize("momentum", [0.0, 0.7])
def test_agrees_with_numpy_over_several_steps(evaluate, random_logits, momentum):
    objective = FreeMatch(momentum=momentum, fairness=0.3)
    state = {name: value.double() for name, value in objective.initial_state(torch.full((4,), 1 / 4), 1).items()}
    tau, mean, share, m = 0.25, np.full(4, 0.25), np.full(4, 0.25), momentum
    for seed in range(4):
        weak, strong = random_logits(seed), random_logits(seed + 10)
        p = softmax(weak.numpy())
        labels, confidence = p.argmax(axis=1), p.max(axis=1)
        tau, mean = m * tau + (1 - m) * confidence.mean(), m * mean + (1 - m) * p.mean(axis=0)
        share = m * share + (1 - m) * np.array([(labels == c).mean() for c in range(4)])
        counted = confidence >= tau * mean[labels] / mean.max()
        losses = -np.log(softmax(strong.numpy())[np.arange(12), labels])
        expected = (losses * counted).mean() + 0.3 * numpy_fairness(strong.numpy(), counted, mean, share)
        loss = evaluate(objective, targets=weak, second=strong, state=state)
        assert loss.total.item() == pytest.approx(expected, abs=1e-6)
    assert 0 < counted.mean() < 1  # in the last step


def test_the_numbers_of_the_authors_code(evaluate):
    # freematch.py at 0d8310a and freematch/utils.py at 6494385 of microsoft/Semi-supervised-learning, ema_p 0.5, with
    # means that start at 1/K as in the paper: both losses, the share that counts, the global threshold
    expected = [
        (0.36554951553209725, -1.1272952902883335, 0.75, 0.565090683188686),
        (0.3570764405461002, -1.2749481483447977, 0.75, 0.6734276895269582),
        (0.1480723387207648, -1.0996807469705803, 0.75, 0.7505618572473945),
        (3.72507398868794, -8.11195923204716, 0.5, 0.7441863610520525),
    ]
    objective = FreeMatch(momentum=0.5)
    state = {name: value.double() for name, value in objective.initial_state(torch.full((3,), 1 / 3), 1).items()}
    for weak, strong, numbers in zip((0.0, 1.0, 2.0, 0.3), (0.5, 1.5, 2.5, 3.5), expected, strict=True):
        terms = evaluate(objective, targets=waves(weak), second=waves(strong), state=state).terms
        found = [terms[name].item() for name in ("freematch", "fairness", "confident", "threshold")]
        assert found == pytest.approx(list(numbers), abs=1e-6)
    assert state["mean_prediction"].tolist() == pytest.approx(
        [0.3179248007971519, 0.3267820306147679, 0.35529316858808]
    )
    assert state["label_share"].tolist() == pytest.approx([0.2708333333333333, 0.3880208333333333, 0.3411458333333333])


@pytest.mark.parametrize("wrong", [{"weight": -1}, {"fairness": -0.1}, {"momentum": 1}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        FreeMatch(**wrong)
