"""R-Drop: values, gradient into both passes, what it makes of the supervised loss."""

import math

import numpy as np
import pytest
import torch

from text_uda.errors import SettingsError
from text_uda.objectives import Supervised
from text_uda.objectives.r_drop import RDrop, symmetric_divergence

LABELS = torch.tensor([0, 3, 1, 2, 2, 0, 1, 3, 3, 0, 1, 2])


def test_by_hand(evaluate):
    # p = (3/4, 1/4), q = (1/2, 1/2): (p - q) (log p - log q) sums up to 1/4 log 3
    first, again = torch.tensor([[math.log(3.0), 0.0]]), torch.zeros(1, 2)
    loss = evaluate(RDrop(weight=2.0, alpha=4.0), labels=torch.tensor([0]), labeled=first, labeled_again=again)
    assert loss.terms["r_drop"].item() == pytest.approx(math.log(3) / 8, abs=1e-6)
    assert loss.total.item() == pytest.approx(2 * (math.log(2) + 4 * math.log(3) / 8), abs=1e-6)


def test_the_numbers_of_the_authors_bert(evaluate):
    # bert_kl of modeling_bert.py in dropreg/R-Drop at 7ab94f4: both cross entropies, and half of the divergence summed
    # over two rows, which is alpha = 0.5 * 2 of their mean
    first = torch.tensor([[1.0, 0.0, -1.0], [0.5, 2.0, 0.0]], dtype=torch.float64)
    again = torch.tensor([[0.0, 0.5, -0.5], [1.0, 1.0, 1.0]], dtype=torch.float64)
    views = {"labels": torch.tensor([2, 1]), "labeled": first, "labeled_again": again}
    total = evaluate(Supervised(), **views).total + evaluate(RDrop(alpha=0.5 * 2), **views).total
    cross_entropies = (2.40760596 + 0.30635571 + 1.68026967 + 1.09861229) / 2
    assert total.item() == pytest.approx(cross_entropies + 0.5 * 0.6290547670944417, abs=1e-7)


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_numpy(evaluate, random_logits, seed):
    first, again = random_logits(seed), random_logits(seed + 10)
    p, q = (np.exp(z.numpy()) / np.exp(z.numpy()).sum(axis=1, keepdims=True) for z in (first, again))
    both = (p * np.log(p / q)).sum(axis=1) + (q * np.log(q / p)).sum(axis=1)
    expected = (-np.log(q[np.arange(12), LABELS.numpy()]) + 0.5 / 2 * both).mean()
    loss = evaluate(RDrop(alpha=0.5), labels=LABELS, labeled=first, labeled_again=again)
    assert loss.total.item() == pytest.approx(expected, abs=1e-6)


def test_the_gradient_reaches_both_passes_and_equals_finite_differences(evaluate, random_logits):
    views = random_logits(0).requires_grad_(), random_logits(1).requires_grad_()
    call = lambda z, again: evaluate(RDrop(), labels=LABELS, labeled=z, labeled_again=again).total  # noqa: E731
    call(*views).backward()
    assert all(view.grad is not None and view.grad.abs().sum() > 0 for view in views)
    assert torch.autograd.gradcheck(call, views, fast_mode=True)


def test_equal_passes_leave_the_cross_entropy(evaluate, random_logits):
    logits = random_logits(2)
    loss = evaluate(RDrop(alpha=5.0), labels=LABELS, labeled=logits, labeled_again=logits.clone())
    assert loss.total.item() == pytest.approx(torch.nn.functional.cross_entropy(logits, LABELS).item(), abs=1e-12)


def test_probabilities_of_zero_give_a_gradient_that_is_a_number():
    first = torch.tensor([[200.0, 0.0]], requires_grad=True)
    symmetric_divergence(first, torch.zeros(1, 2)).backward()
    assert first.grad is not None and first.grad.isfinite().all()


@pytest.mark.parametrize(("argument", "value"), [("weight", -1), ("alpha", -0.1)])
def test_settings_out_of_range_are_refused(argument, value):
    with pytest.raises(SettingsError, match=argument):
        RDrop(**{argument: value})
