"""ICT: values, the teacher's mixed predictions as targets, gradient through the mixed pass alone."""

import math

import numpy as np
import pytest
import torch

from text_uda.errors import SettingsError
from text_uda.model.classifier import ClassifierOutput
from text_uda.model.inputs import Batch, Features
from text_uda.model.mixing import Mixing, draw_mixing
from text_uda.objectives import ict
from text_uda.objectives.ict import ICT, interpolation_loss

FULL = ICT(weight=1.0, ramp_up=0.0)
WEIGHT = torch.tensor([[0.5, -1.0], [1.0, 0.25], [-0.75, 0.5]], dtype=torch.float64)
ROWS = torch.tensor([[0.25, -0.5], [1.5, 1.0]], dtype=torch.float64)


class Linear:
    """Features -> logits, mixed at the features."""

    def __init__(self, weight: torch.Tensor) -> None:
        self.weight = weight
        self.layer: int | None = None

    def __call__(self, inputs: Features, *, mixing: Mixing | None = None, layer: int = 0) -> ClassifierOutput:
        self.layer = layer
        values = inputs.values if mixing is None else mixing(inputs.values)
        return ClassifierOutput(values @ self.weight.T, values)


def batch_of(values: torch.Tensor) -> Batch:
    return Batch(Features(torch.zeros(1, 2)), torch.zeros(1, dtype=torch.long), Features(values))


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def test_by_hand():
    # p = (1/2, 1/2); targets (1, 0) and (0, 1) at m = 3/4 and 1/4 of the first: squares of 1/4 everywhere
    mixed = torch.tensor([[0.75, 0.25], [0.25, 0.75]])
    assert interpolation_loss(torch.zeros(2, 2), mixed).item() == pytest.approx(1 / 16)


def test_the_numbers_of_a_known_implementation(evaluate, monkeypatch):
    # ict.py of google-research/mixmatch at 77bf67d, which mixes probabilities as we do, with a weight for each row
    mixing = Mixing(torch.tensor([0.9, 0.6], dtype=torch.float64), torch.tensor([1, 0]), (2,))
    monkeypatch.setattr(ict, "draw_mixing", lambda *_, **__: mixing)
    teacher_logits = torch.tensor([[1.0, -0.5, 0.25], [-1.0, 2.0, 0.5]], dtype=torch.float64)
    student = Linear(WEIGHT)
    loss = evaluate(FULL, student=student, batch=batch_of(ROWS), teacher_logits=teacher_logits)
    assert loss.total.item() == pytest.approx(0.010731729923283237, abs=1e-9) and student.layer == 0


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_numpy(evaluate, random_logits, seed):
    values, teacher = random_logits(seed, 7, 2), random_logits(seed + 10, 7, 3)
    drawn = draw_mixing(seed, [7], alpha=0.5, device=values.device)
    objective = ICT(weight=2.0, alpha=0.5, ramp_up=0.0)
    loss = evaluate(objective, student=Linear(WEIGHT), batch=batch_of(values), teacher_logits=teacher, key=seed)
    x, q, losses = values.numpy(), softmax(teacher.numpy()), []
    for i, (m, j) in enumerate(zip(drawn.weight.double().tolist(), drawn.partner.tolist(), strict=True)):
        p = softmax((m * x[i] + (1 - m) * x[j]) @ WEIGHT.numpy().T)
        losses.append(((p - m * q[i] - (1 - m) * q[j]) ** 2).mean())
    assert loss.total.item() == pytest.approx(2 * np.mean(losses), abs=1e-6)
    assert loss.terms["ict"].item() == pytest.approx(np.mean(losses), abs=1e-6)


def test_the_gradient_goes_through_the_mixed_pass_alone(evaluate, random_logits):
    values, weight = random_logits(0, 5, 2).requires_grad_(), WEIGHT.clone().requires_grad_()
    teacher = random_logits(1, 5, 3).requires_grad_()

    def call(values, weight):
        settings = {"batch": batch_of(values), "teacher_logits": teacher, "key": 3}
        return evaluate(FULL, student=Linear(weight), **settings).total

    call(values, weight).backward()
    assert teacher.grad is None and weight.grad is not None and weight.grad.abs().sum() > 0
    assert values.grad is not None and values.grad.abs().sum(dim=1).all()
    assert torch.autograd.gradcheck(call, (values, weight))


def test_a_student_that_is_the_teacher_and_linear_in_between_costs_nothing(evaluate, random_logits):
    values, teacher = random_logits(0, 5, 2), torch.zeros(5, 3, dtype=torch.float64)
    loss = evaluate(FULL, student=Linear(0 * WEIGHT), batch=batch_of(values), teacher_logits=teacher)
    assert loss.total.item() == pytest.approx(0, abs=1e-14)
    same = random_logits(2, 1, 2).expand(5, 2)  # one text five times: every mixture is that text
    teacher = same @ WEIGHT.T
    loss = evaluate(FULL, student=Linear(WEIGHT), batch=batch_of(same), teacher_logits=teacher)
    assert loss.total.item() == pytest.approx(0, abs=1e-14)


def test_the_weight_ramps_up_and_the_key_decides_the_mixture(evaluate, random_logits):
    settings = {"student": Linear(WEIGHT), "batch": batch_of(random_logits(0, 5, 2))}
    settings["teacher_logits"] = random_logits(1, 5, 3)
    full = evaluate(FULL, **settings).total.item()
    at = [evaluate(ICT(weight=2.0, ramp_up=0.5), **settings, step=step).total.item() for step in (0, 3, 5)]
    assert at == pytest.approx([2 * full * math.exp(-5.0), 2 * full * math.exp(-5 * 0.4**2), 2 * full])
    assert evaluate(FULL, **settings, key=1).total.item() != full


@pytest.mark.parametrize(("argument", "value"), [("weight", -1), ("alpha", 0), ("alpha", -2), ("ramp_up", 1.5)])
def test_settings_out_of_range_are_refused(argument, value):
    with pytest.raises(SettingsError, match=argument):
        ICT(**{argument: value})
