"""MixMatch: values, what is mixed with what, gradients, ramp-up. What it shares with its kin: test_guess.py."""

import math

import numpy as np
import pytest
import torch

from text_uda.errors import SettingsError
from text_uda.model.classifier import ClassifierOutput
from text_uda.model.inputs import Batch, Features
from text_uda.model.mixing import Mixing, draw_mixing
from text_uda.objectives import mixmatch
from text_uda.objectives.mixmatch import MixMatch, mixed_losses

FULL = MixMatch(unlabeled_weight=2.0, ramp_up=0.0)
WEIGHT = torch.tensor([[0.5, -1.0], [1.0, 0.25], [-0.75, 0.5]], dtype=torch.float64)


class Linear:
    """Features -> logits, mixed at the features."""

    def __init__(self, weight: torch.Tensor = WEIGHT) -> None:
        self.weight = weight

    def __call__(self, inputs: Features, *, mixing: Mixing | None = None) -> ClassifierOutput:
        values = inputs.values if mixing is None else mixing(inputs.values)
        return ClassifierOutput(values @ self.weight.T, values)

    embed = staticmethod(lambda inputs: inputs)


def rows(*values: list[float]) -> Features:
    return Features(torch.tensor(values, dtype=torch.float64))


BATCH = Batch(
    rows([1.0, 0.5], [-1.0, 2.0]),
    torch.tensor([2, 0]),
    rows([0.25, -0.5], [1.5, 1.0]),
    rows([0.5, -0.25], [1.0, 1.25]),
)


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def test_by_hand():
    # labeled: p = (1/4, 3/4), y = (1/2, 1/2); unlabeled: p = (1/2, 1/2), q = (1, 0) and (3/4, 1/4)
    logits = torch.tensor([[0.0, math.log(3.0)], [0.0, 0.0], [0.0, 0.0]])
    targets = torch.tensor([[0.5, 0.5], [1.0, 0.0], [0.75, 0.25]])
    supervised, unlabeled = mixed_losses(logits, targets, labeled=1)
    assert supervised.item() == pytest.approx((math.log(4) + math.log(4 / 3)) / 2)
    assert unlabeled.item() == pytest.approx((1 / 4 + 1 / 16) / 2)


def test_the_numbers_of_a_known_implementation(evaluate, monkeypatch):
    # train.py of YU1ut/MixMatch-pytorch at 1492d71 with l = 0.8; the losses of google-research/mixmatch are the same
    mixing = Mixing(torch.full((6,), 0.8, dtype=torch.float64), torch.tensor([3, 5, 0, 1, 2, 4]), (2, 2, 2))
    monkeypatch.setattr(mixmatch, "draw_mixing", lambda *_, **__: mixing)
    loss = evaluate(FULL, student=Linear(), batch=BATCH, classes=3)
    assert loss.terms["supervised"].item() == pytest.approx(2.571908583311319, abs=1e-9)
    assert loss.terms["mixmatch"].item() == pytest.approx(0.010724701644973468, abs=1e-9)
    assert loss.total.item() == pytest.approx(2.571908583311319 + 2 * 0.010724701644973468, abs=1e-9)


@pytest.mark.parametrize("augmented", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_numpy(evaluate, random_logits, seed, augmented):
    x, u, v = (random_logits(seed + each, count, 2) for each, count in ((0, 3), (10, 5), (20, 5)))
    labels = torch.tensor([1, 2, 0])
    batch = Batch(Features(x), labels, Features(u), Features(v) if augmented else None)
    objective = MixMatch(unlabeled_weight=4.0, temperature=0.3, alpha=0.6, ramp_up=0.0)
    loss = evaluate(objective, student=Linear(), batch=batch, classes=3, key=seed)
    weight = WEIGHT.numpy()
    views = [u.numpy(), (v if augmented else u).numpy()]
    q = (sum(softmax(view @ weight.T) for view in views) / 2) ** (1 / 0.3)
    q /= q.sum(axis=1, keepdims=True)
    values = np.concatenate([x.numpy(), *views])
    targets = np.concatenate([np.eye(3)[labels.numpy()], q, q])
    drawn = draw_mixing(seed, [3, 5, 5], alpha=0.6, device=x.device)
    supervised, unlabeled = [], []
    for i, (m, j) in enumerate(zip(drawn.weight.double().tolist(), drawn.partner.tolist(), strict=True)):
        own = max(m, 1 - m)
        p = softmax((own * values[i] + (1 - own) * values[j]) @ weight.T)
        target = own * targets[i] + (1 - own) * targets[j]
        if i < 3:
            supervised.append(-(target * np.log(p)).sum())
        else:
            unlabeled.append(((p - target) ** 2).sum() / 3)
    assert loss.terms["mixmatch"].item() == pytest.approx(np.mean(unlabeled), abs=1e-6)
    assert loss.total.item() == pytest.approx(np.mean(supervised) + 4 * np.mean(unlabeled), abs=1e-6)
    assert loss.terms["confidence"].item() == pytest.approx(q.max(axis=1).mean(), abs=1e-6)


def test_the_gradient_goes_into_the_logits_and_not_into_the_targets(random_logits):
    logits, targets = random_logits(0).requires_grad_(), random_logits(1).softmax(dim=-1).requires_grad_()
    call = lambda z: sum(mixed_losses(z, targets, labeled=5))  # noqa: E731
    call(logits).backward()
    assert targets.grad is None and logits.grad is not None and logits.grad.abs().sum(dim=1).all()
    assert torch.autograd.gradcheck(call, (logits,))


def test_a_confident_model_that_is_right_costs_almost_nothing(evaluate):
    """One class alone, so that mixtures are of this class too."""
    student, batch = (
        Linear(torch.tensor([[9.0, 0.0], [0.0, 9.0]])),
        Batch(
            *[Features(torch.tensor([[2.0, 0.0]] * 3))] * 1,
            torch.zeros(3, dtype=torch.long),
            Features(torch.tensor([[1.5, 0.0]] * 4)),
        ),
    )
    assert evaluate(FULL, student=student, batch=batch, classes=2).total.item() < 1e-5


def test_the_unlabeled_weight_grows_in_a_straight_line(evaluate):
    loss = [evaluate(MixMatch(ramp_up=0.5), student=Linear(), batch=BATCH, classes=3, step=step) for step in (0, 2, 5)]
    assert [each.terms["mixmatch_weight"] for each in loss] == pytest.approx([0, 4, 10])
    assert loss[0].total.item() == loss[0].terms["supervised"].item()


@pytest.mark.parametrize(
    ("argument", "value"),
    [("unlabeled_weight", -1), ("temperature", 0), ("temperature", 11), ("alpha", 0), ("ramp_up", -0.1)],
)
def test_settings_out_of_range_are_refused(argument, value):
    with pytest.raises(SettingsError, match=argument):
        MixMatch(**{argument: value})
