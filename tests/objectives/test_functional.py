"""The formulas against values worked out by hand, against NumPy, and against finite differences."""

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import kl_div, log_softmax

from text_uda.objectives.functional import align, entropy, kl_divergence, sharpen


def random_case(seed: int, rows: int = 7, classes: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    target = torch.randn(rows, classes, generator=generator, dtype=torch.float64).mul(3).softmax(-1)
    return target, torch.randn(rows, classes, generator=generator, dtype=torch.float64).mul(3)


def numpy_kl(target: np.ndarray, logits: np.ndarray) -> np.ndarray:
    other = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    return (target * (np.log(target) - np.log(other))).sum(axis=-1)


def test_kl_divergence_by_hand():
    # target (1/2, 1/2) against softmax(log 3, 0) = (3/4, 1/4): 1/2 log(2/3) + 1/2 log 2 = 1/2 log(4/3)
    value = kl_divergence(torch.tensor([[0.5, 0.5]]), torch.tensor([[math.log(3.0), 0.0]]))
    assert value.item() == pytest.approx(0.5 * math.log(4 / 3), abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_kl_divergence_agrees_with_numpy_and_torch(seed):
    target, logits = random_case(seed)
    value = kl_divergence(target, logits)
    np.testing.assert_allclose(value, numpy_kl(target.numpy(), logits.numpy()), rtol=1e-10)
    torch.testing.assert_close(value, kl_div(log_softmax(logits, -1), target, reduction="none").sum(-1))


def test_kl_divergence_of_equal_distributions_is_zero_and_of_a_hard_target_finite():
    logits = torch.tensor([[2.0, -1.0, 0.5]])
    assert kl_divergence(logits.softmax(-1), logits).item() == pytest.approx(0.0, abs=1e-6)
    hard = torch.tensor([[0.0, 1.0, 0.0]])
    assert kl_divergence(hard, logits).item() == pytest.approx(-log_softmax(logits, -1)[0, 1].item(), abs=1e-6)


def test_kl_divergence_gradient_is_that_of_the_cross_entropy():
    target, logits = random_case(1)
    logits.requires_grad_()
    kl_divergence(target, logits).sum().backward()
    torch.testing.assert_close(logits.grad, logits.detach().softmax(-1) - target)


@pytest.mark.parametrize("temperature", [0.3, 0.5, 1.0, 2.0])
def test_sharpen_is_the_softmax_at_a_temperature(temperature):
    _, logits = random_case(2)
    torch.testing.assert_close(sharpen(logits.softmax(-1), temperature), (logits / temperature).softmax(-1))


def test_sharpen_by_hand():
    # (0.8, 0.2) at T = 1/2: squares 0.64 and 0.04, so 16/17 and 1/17
    torch.testing.assert_close(sharpen(torch.tensor([[0.8, 0.2]]), 0.5), torch.tensor([[16 / 17, 1 / 17]]))


def test_align_to_uniform_divides_by_the_mean_and_renormalises():
    # (0.6, 0.4) / (0.75, 0.25) = (0.8, 1.6), so (1/3, 2/3)
    aligned = align(torch.tensor([[0.6, 0.4]]), torch.tensor([0.75, 0.25]), torch.tensor([0.5, 0.5]))
    torch.testing.assert_close(aligned, torch.tensor([[1 / 3, 2 / 3]]))


def test_align_multiplies_by_the_prior():
    # (1/2, 1/2) * (0.6 / 0.8, 0.4 / 0.2) = (3/8, 1), which is 3/11 and 8/11
    aligned = align(torch.tensor([[0.5, 0.5]]), torch.tensor([0.8, 0.2]), torch.tensor([0.6, 0.4]))
    torch.testing.assert_close(aligned, torch.tensor([[3 / 11, 8 / 11]]))


def test_align_to_the_mean_changes_nothing():
    target, _ = random_case(3)
    mean = target.mean(dim=0)
    torch.testing.assert_close(align(target, mean, mean), target)


def test_align_turns_posteriors_under_one_prior_into_those_under_another():
    likelihood = random_case(4)[0]
    one, other = (random_case(seed)[0][0] for seed in (5, 6))
    normalised = [(likelihood * prior) / (likelihood * prior).sum(dim=-1, keepdim=True) for prior in (one, other)]
    torch.testing.assert_close(align(normalised[0], one.clamp_min(1e-6), other), normalised[1], atol=1e-6, rtol=1e-4)


def test_entropy():
    rows = torch.tensor([[0.25, 0.25, 0.25, 0.25], [0.0, 1.0, 0.0, 0.0]])
    torch.testing.assert_close(entropy(rows), torch.tensor([math.log(4.0), 0.0]))
