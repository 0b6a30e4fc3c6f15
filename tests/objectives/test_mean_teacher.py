"""Mean Teacher: values, and that the student has a gradient and the teacher has none."""

import math

import numpy as np
import pytest
import torch

from text_uda.errors import SettingsError
from text_uda.model.inputs import Batch
from text_uda.objectives import MeanTeacher
from text_uda.objectives.weight_averaging import EMA, Averaged
from text_uda.training.step import Step

FULL = MeanTeacher(weight=1.0, ramp_up=0.0)


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def test_by_hand(evaluate):
    # p = (1/2, 1/2), the teacher's (4/5, 1/5): the mean of (3/10)^2 and (3/10)^2
    teacher = torch.tensor([[math.log(4.0), 0.0]])
    loss = evaluate(MeanTeacher(weight=2.0, ramp_up=0.0), second=torch.zeros(1, 2), teacher_logits=teacher)
    assert loss.total.item() == pytest.approx(2 * 0.09) and loss.terms["agreement"] == 1.0


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_numpy(evaluate, random_logits, seed):
    second, teacher = random_logits(seed), random_logits(seed + 10)
    expected = np.mean([(softmax(second.numpy())[i] - softmax(teacher.numpy())[i]) ** 2 for i in range(len(second))])
    assert evaluate(FULL, second=second, teacher_logits=teacher).total.item() == pytest.approx(expected, abs=1e-6)


def test_the_gradient_goes_through_the_student_alone_and_equals_finite_differences(evaluate, random_logits):
    second, teacher = random_logits(1).requires_grad_(), random_logits(2).requires_grad_()
    evaluate(FULL, second=second, teacher_logits=teacher).total.backward()
    assert teacher.grad is None and second.grad is not None and second.grad.abs().sum() > 0
    assert torch.autograd.gradcheck(lambda z: evaluate(FULL, second=z, teacher_logits=teacher).total, (second,))


def test_the_weights_get_the_gradient_of_the_students_own_pass(student):
    """A published Mean Teacher took the student's logits from the teacher's pass, and so learned nothing by it."""
    from text_uda.model.inputs import Tokens

    ids = torch.tensor([[2, 40, 50, 60, 3], [2, 70, 80, 3, 0]])
    tokens = Tokens(ids, ids.ne(0).long())
    second = Tokens(ids.roll(1, 0), ids.ne(0).long().roll(1, 0))
    averaged = Averaged(student.model, EMA(), steps=10)
    step = Step(student.model, (FULL,), steps=10)
    batch = Batch(tokens, torch.tensor([0, 1]), tokens, second)
    step(batch, 5, teacher=averaged.model).loss.backward()
    found = {name: p.grad.clone() for name, p in student.model.named_parameters()}
    student.model.zero_grad()
    target = (
        averaged.model(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask).logits.softmax(-1).detach()
    )
    own = student.model(input_ids=second.input_ids, attention_mask=second.attention_mask).logits.softmax(-1)
    ((own - target) ** 2).mean().backward()
    for name, parameter in student.model.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad, msg=name)
    assert found["bert.embeddings.word_embeddings.weight"].abs().sum() > 0
    assert all(parameter.grad is None for parameter in averaged.model.parameters())


def test_agreeing_with_the_teacher_gives_zero(evaluate, random_logits):
    assert evaluate(FULL, second=random_logits(3), teacher_logits=random_logits(3)).total.item() == 0.0


@pytest.mark.parametrize("wrong", [{"weight": -1}, {"ramp_up": -0.1}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        MeanTeacher(**wrong)
