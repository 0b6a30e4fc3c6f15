"""VAdD: the adversarial mask, values, gradient through the adversarial pass alone."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from text_uda.errors import SettingsError
from text_uda.model import keyed_tensors
from text_uda.objectives.vadd import VAdD, adversarial_mask, dropout_divergence, rescaled

KEY = 4


@pytest.fixture
def linear() -> torch.nn.Linear:
    with keyed_tensors.seeded_torch(0):
        return torch.nn.Linear(40, 3).double()


@pytest.fixture
def hidden() -> torch.Tensor:
    return torch.randn(6, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def numpy_divergence(h, mask, weight, bias, flips: int) -> float:
    def softmax(z):
        powers = np.exp(z)
        return powers / powers.sum()

    losses = []
    for row, kept in zip(h, mask, strict=True):
        scaled = lambda m: row * m * len(m) / m.sum()  # noqa: B023, E731
        target = softmax(weight @ scaled(kept.astype(float)) + bias)
        jacobian = row * ((softmax(weight @ row + bias) - target) @ weight)
        adversarial, left = kept.copy(), flips
        for place in np.argsort(-np.abs(jacobian)):
            if left and (jacobian[place] < 0 if kept[place] else jacobian[place] > 0):
                adversarial[place], left = not kept[place], left - 1
        other = softmax(weight @ scaled(adversarial.astype(float)) + bias)
        losses.append((target * np.log(target / other)).sum())
    return float(np.mean(losses))


def test_by_hand():
    # h = (1, 1), logits (2 h_1, 0): the first unit alone, scaled by 2, gives (4, 0). The whole gives (2, 0), where
    # J_1 < 0 and J_2 = 0: what raises the divergence is to drop the first unit as well, which leaves (0, 0).
    weight = torch.tensor([[2.0, 0.0], [0.0, 0.0]], dtype=torch.float64)
    mask = torch.tensor([[True, False]])
    loss, adversarial = dropout_divergence(torch.ones(1, 2, dtype=torch.float64), mask, lambda h: h @ weight.T, flips=1)
    p = 1 / (1 + math.exp(-4))
    assert adversarial.tolist() == [[False, False]]
    assert loss.item() == pytest.approx(p * math.log(2 * p) + (1 - p) * math.log(2 * (1 - p)), abs=1e-12)


JACOBIAN = torch.tensor([[0.5, -0.25, -0.75, 0.125, -1.0, 0, -0.375, 0.625], [0.1, 0.2, 0.3, 0.4, -0.5, 0.6, 0.7, 0.8]])


@pytest.mark.parametrize(
    ("mask", "flips", "expected"),
    [  # adversarial_dropout of sungraepark/Adversarial-Dropout at 977b31d
        ([[1] * 8, [1] * 8], 2, [[4 / 3, 4 / 3, 0, 4 / 3, 0, 4 / 3, 4 / 3, 4 / 3], [*[8 / 7] * 4, 0, *[8 / 7] * 3]]),
        (
            [[1, 0, 1, 0, 1, 1, 0, 0], [0, 1, 1, 0, 0, 1, 1, 1]],
            3,
            [[8 / 3, 0, 0, 0, 0, 8 / 3, 0, 8 / 3], [*[8 / 7] * 4, 0, *[8 / 7] * 3]],
        ),
    ],
)
def test_the_mask_is_that_of_the_authors_code(mask, flips, expected):
    adversarial = adversarial_mask(torch.tensor(mask).bool(), JACOBIAN, flips=flips)
    torch.testing.assert_close(rescaled(adversarial, torch.float32), torch.tensor(expected).float())


@pytest.mark.parametrize("delta", [0.05, 0.2, 1.0])
@pytest.mark.parametrize("keep", [0.5, 0.9])
def test_agrees_with_numpy(evaluate, random_logits, linear, hidden, delta, keep):
    loss = evaluate(
        VAdD(delta=delta, keep=keep, ramp_up=0, entropy_weight=0),
        original=(random_logits(0, 6, 3), hidden),
        student=SimpleNamespace(last_layer=linear),
        key=KEY,
    )
    mask = keyed_tensors.uniform(keyed_tensors.row_keys(KEY, 6, device=hidden.device), 40) < keep
    assert not mask.all(dim=1).any()  # of the full mask J is zero, and its sign rounding
    weight, bias = linear.weight.detach().numpy(), linear.bias.detach().numpy()
    expected = numpy_divergence(hidden.numpy(), mask.numpy(), weight, bias, math.floor(40 * delta))
    assert expected > 0
    assert loss.total.item() == pytest.approx(expected, abs=1e-6)
    assert 0 < loss.terms["vadd_flipped"] <= 40 * delta


def test_the_entropy_of_the_first_prediction_is_added_without_a_ramp(evaluate, random_logits, linear, hidden):
    hidden.requires_grad_()
    views = {"original": (random_logits(0, 6, 3), hidden), "student": SimpleNamespace(last_layer=linear), "key": KEY}
    with_it, without = (evaluate(VAdD(entropy_weight=e), **views, step=0) for e in (0.7, 0.0))
    mask = keyed_tensors.uniform(keyed_tensors.row_keys(KEY, 6, device=hidden.device), 40) < 0.9
    kept = (hidden * mask * 40 / mask.sum(dim=1, keepdim=True)).detach().numpy()
    logits = kept @ linear.weight.detach().numpy().T + linear.bias.detach().numpy()
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = -(p * np.log(p)).sum(axis=1).mean()
    assert with_it.terms["vadd_entropy"].item() == pytest.approx(expected, abs=1e-6)
    assert (with_it.total - without.total).item() == pytest.approx(0.7 * expected, abs=1e-6)
    assert VAdD().entropy_weight == 1.0
    (gradient,) = torch.autograd.grad(with_it.total - without.total, hidden)
    assert gradient.abs().sum() > 0, "through p and log p, into the encoder too"


def test_the_gradient_goes_through_the_adversarial_pass_only(linear, hidden):
    mask = torch.rand(6, 40, generator=torch.Generator().manual_seed(1)) < 0.8
    hidden.requires_grad_()
    loss, adversarial = dropout_divergence(hidden, mask, linear, flips=3)
    assert hidden.grad is None and linear.weight.grad is None  # J leaves none behind
    loss.backward()
    target = linear(hidden * rescaled(mask, hidden.dtype)).softmax(dim=-1).detach()

    def through_the_adversarial_pass(h, weight):
        log_p = torch.log_softmax(h * rescaled(adversarial, h.dtype) @ weight.T + linear.bias.detach(), dim=-1)
        return (target * (target.log() - log_p)).sum(dim=-1).mean()

    given = hidden.detach().clone().requires_grad_(), linear.weight.detach().clone().requires_grad_()
    expected = torch.autograd.grad(through_the_adversarial_pass(*given), given)
    torch.testing.assert_close((hidden.grad, linear.weight.grad), expected)
    assert torch.autograd.gradcheck(through_the_adversarial_pass, given, fast_mode=True)


def test_the_adversarial_flips_beat_random_ones(linear, hidden):
    mask = torch.rand(6, 40, generator=torch.Generator().manual_seed(1)) < 0.8
    found, _ = dropout_divergence(hidden, mask, linear, flips=3)
    target = linear(hidden * rescaled(mask, hidden.dtype)).softmax(dim=-1)
    for seed in range(10):
        order = torch.rand(6, 40, generator=torch.Generator().manual_seed(seed)).argsort(dim=1)
        other = mask ^ (order < 3)
        log_p = torch.log_softmax(linear(hidden * rescaled(other, hidden.dtype)), dim=-1)
        assert found > (target * (target.log() - log_p)).sum(dim=-1).mean()


def test_no_flips_give_zero(linear, hidden):
    mask = torch.rand(6, 40, generator=torch.Generator().manual_seed(1)) < 0.8
    loss, adversarial = dropout_divergence(hidden, mask, linear, flips=0)
    assert torch.equal(adversarial, mask) and loss.item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("argument", "value"), [("weight", -1), ("entropy_weight", -1), ("delta", 1.5), ("keep", 0), ("ramp_up", -1)]
)
def test_settings_out_of_range_are_refused(argument, value):
    with pytest.raises(SettingsError, match=argument):
        VAdD(**{argument: value})
