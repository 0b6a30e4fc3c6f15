"""SNTG: values, pairs over all processes, gradient into both ends, and none that is not a number."""

import itertools
import math

import numpy as np
import pytest
import torch

from text_uda import distributed
from text_uda.errors import SettingsError
from text_uda.objectives.sntg import SNTG, neighbor_loss


def random_rows(seed: int, rows: int, width: int = 3) -> torch.Tensor:
    return 0.8 * torch.randn(rows, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def numpy_sntg(hidden: np.ndarray, targets: np.ndarray, margin: float) -> float:
    losses = []
    for i, j in itertools.combinations(range(len(hidden)), 2):
        square = ((hidden[i] - hidden[j]) ** 2).mean()
        losses.append(square if targets[i] == targets[j] else max(0.0, margin - math.sqrt(square)) ** 2)
    return float(np.mean(losses))


def test_by_hand():
    # mean squares between the rows: 1/2, 1, 1/2; only the first two are neighbors
    hidden = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, -1.0]])
    loss, neighbors = neighbor_loss(hidden, torch.tensor([1, 1, 0]), margin=2.0)
    expected = (1 / 2 + (2 - 1) ** 2 + (2 - math.sqrt(1 / 2)) ** 2) / 3
    assert loss.item() == pytest.approx(expected, abs=1e-6)
    assert neighbors.tolist() == [True, False, False]


def test_the_numbers_of_the_authors_code():
    # train_emb.py of xinmei9322/SNTG at 22b04bb on the three ways to halve four rows: their mean is that of all pairs
    hidden = torch.tensor([[0.5, -0.5, 1.0], [0.25, 0.25, -1.0], [-1.0, 0.75, 0.5], [2.0, -1.0, 0.5]])
    loss, _ = neighbor_loss(hidden, torch.tensor([0, 1, 0, 1]), margin=1.0)
    assert loss.item() == pytest.approx((1.8229166666666665 + 0.0 + 0.0009062255769952237) / 3, abs=1e-6)


@pytest.mark.parametrize("teacher", [False, True])
@pytest.mark.parametrize("margin", [0.5, 1.0, 2.0])
def test_agrees_with_numpy(evaluate, random_logits, margin, teacher):
    labeled, original = random_rows(0, 4), random_rows(1, 12)
    labels, logits, teacher_logits = torch.tensor([0, 3, 3, 1]), random_logits(0), random_logits(1)
    loss = evaluate(
        SNTG(margin=margin, ramp_up=0),
        labels=labels,
        labeled=(random_logits(2, 4), labeled),
        original=(logits, original),
        teacher_logits=teacher_logits if teacher else None,
    )
    hidden = np.concatenate([labeled.numpy(), original.numpy()])
    unlabeled = (teacher_logits if teacher else logits).numpy().argmax(axis=1)
    expected = numpy_sntg(hidden, np.concatenate([labels.numpy(), unlabeled]), margin)
    assert loss.terms["sntg"].item() == pytest.approx(expected, abs=1e-6)
    assert loss.total.item() == pytest.approx(4 * expected, abs=1e-6)


def test_the_gradient_reaches_both_views_and_not_the_logits(evaluate, random_logits):
    logits = random_logits(0).requires_grad_()
    rows = random_rows(0, 4).requires_grad_(), random_rows(1, 12).requires_grad_()

    def call(labeled, original):
        views = {"labeled": (random_logits(1, 4), labeled), "original": (logits, original)}
        return evaluate(SNTG(ramp_up=0), labels=torch.tensor([0, 1, 2, 3]), **views).total

    call(*rows).backward()
    assert logits.grad is None
    assert all(part.grad is not None and part.grad.abs().sum(dim=1).all() for part in rows)
    assert torch.autograd.gradcheck(call, rows, fast_mode=True)


@pytest.mark.parametrize("targets", [[0, 0], [0, 1]])
def test_two_equal_rows_give_a_gradient_that_is_a_number(targets):
    hidden = torch.ones(2, 3, requires_grad=True)
    loss, _ = neighbor_loss(hidden, torch.tensor(targets), margin=1.0)
    loss.backward()
    assert loss.item() == targets[1]  # neighbors at one place cost nothing, others the margin
    torch.testing.assert_close(hidden.grad, torch.zeros(2, 3))


def test_classes_that_lie_apart_cost_nothing():
    hidden = torch.tensor([[1.0, 1.0], [1.0, 1.0], [-1.0, -1.0]])
    assert neighbor_loss(hidden, torch.tensor([0, 0, 1]), margin=1.0)[0].item() == 0


def test_pairs_are_made_over_all_processes(evaluate, random_logits, monkeypatch):
    labeled, original = random_rows(0, 4), random_rows(1, 12)
    logits, labels = random_logits(0), torch.tensor([0, 1, 2, 3])
    call = lambda part: evaluate(  # noqa: E731
        SNTG(),
        labels=labels[part(4)],
        labeled=(random_logits(1, 4)[part(4)], labeled[part(4)]),
        original=(logits[part(12)], original[part(12)]),
    ).total.item()
    whole = call(lambda rows: slice(0, rows))
    others = iter([labeled[2:], original[6:], labels[2:], logits[6:].argmax(dim=-1)])
    monkeypatch.setattr(distributed, "gathered", lambda rows: torch.cat([rows, next(others)]))
    assert call(lambda rows: slice(0, rows // 2)) == pytest.approx(whole, abs=1e-12)


@pytest.mark.parametrize(("argument", "value"), [("weight", -1), ("margin", 0), ("ramp_up", 1.5)])
def test_settings_out_of_range_are_refused(argument, value):
    with pytest.raises(SettingsError, match=argument):
        SNTG(**{argument: value})
