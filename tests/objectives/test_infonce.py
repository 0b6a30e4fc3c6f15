"""InfoNCE: values, negatives that are none, gradients, all processes as one."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from text_uda import distributed
from text_uda.errors import SettingsError
from text_uda.objectives import InfoNCE
from text_uda.objectives.infonce import pair_contrast


def rows(seed: int, number: int = 6, width: int = 5) -> Tensor:
    return torch.randn(number, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def views(first: Tensor, second: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    return {"original": (torch.zeros(len(first), 3), first), "second": (torch.zeros(len(second), 3), second)}


def numpy_infonce(hidden: np.ndarray, second: np.ndarray, texts: list[int], temperature: float) -> float:
    z, z2 = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (hidden, second))
    s = np.exp(z @ z2.T / temperature)
    losses = []
    for i in range(len(z)):
        others = [j for j in range(len(z)) if j == i or texts[j] != texts[i]]
        losses.append(-math.log(s[i, i] / s[i, others].sum()) / 2 - math.log(s[i, i] / s[others, i].sum()) / 2)
    return float(np.mean(losses))


def test_by_hand():
    # text 0 lies on its second view; text 1 at right angles to both second views, and its own is at 45 degrees of 0
    hidden = torch.tensor([[2.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    second = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]])
    loss, recognised = pair_contrast(hidden, second, temperature=0.5, texts=torch.tensor([7, 3]))
    root = math.sqrt(2)  # cosine 1 / sqrt(2), divided by 0.5
    forth = [math.log(1 + math.exp(root - 2)), math.log(2.0)]
    back = [math.log(1 + math.exp(0 - 2)), math.log(1 + math.exp(root))]
    assert loss.item() == pytest.approx((sum(forth) + sum(back)) / 4, abs=1e-6)
    assert recognised[0]


@pytest.mark.parametrize("temperature", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("texts", [[0, 1, 2, 3, 4, 5], [0, 1, 0, 2, 1, 0]])
def test_agrees_with_numpy(evaluate, temperature, texts):
    first, second = rows(0), rows(1)
    loss = evaluate(
        InfoNCE(weight=3.0, temperature=temperature), unlabeled_rows=torch.tensor(texts), **views(first, second)
    )
    expected = numpy_infonce(first.numpy(), second.numpy(), texts, temperature)
    assert loss.terms["infonce"].item() == pytest.approx(expected, rel=1e-9)
    assert loss.total.item() == pytest.approx(3 * expected, rel=1e-9)


def test_the_gradient_reaches_both_views_and_equals_finite_differences(evaluate):
    both = rows(0).requires_grad_(), rows(1).requires_grad_()
    texts = torch.tensor([0, 1, 0, 2, 3, 4])

    def call(first, second):
        return evaluate(InfoNCE(temperature=0.5), unlabeled_rows=texts, **views(first, second)).total

    call(*both).backward()
    assert all(each.grad is not None and each.grad.abs().sum(dim=1).all() for each in both)
    assert torch.autograd.gradcheck(call, both)


def test_the_views_can_be_exchanged():
    first, second, texts = rows(0), rows(1), torch.arange(6)
    one, _ = pair_contrast(first, second, temperature=0.1, texts=texts)
    other, _ = pair_contrast(second, first, temperature=0.1, texts=texts)
    assert one.item() == pytest.approx(other.item(), rel=1e-12)


def test_a_batch_of_one_text_says_nothing():
    hidden = rows(0).requires_grad_()
    loss, _ = pair_contrast(hidden, rows(1), temperature=0.1, texts=torch.zeros(6).long())
    loss.backward()
    assert loss.item() == 0 and hidden.grad is not None and not hidden.grad.any()


def test_steps_down_the_gradient_make_texts_recognisable():
    hidden, second, texts = rows(2).requires_grad_(), rows(3), torch.arange(6)
    _, before = pair_contrast(hidden, second, temperature=0.1, texts=texts)
    optimizer = torch.optim.SGD([hidden], lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        pair_contrast(hidden, second, temperature=0.1, texts=texts)[0].backward()
        optimizer.step()
    _, after = pair_contrast(hidden, second, temperature=0.1, texts=texts)
    assert not before.all() and after.all()


def test_rows_of_all_processes_are_contrasted(evaluate, monkeypatch):
    first, second, texts = rows(4), rows(5), torch.tensor([0, 1, 2, 3, 0, 4])
    whole = evaluate(InfoNCE(), unlabeled_rows=texts, **views(first, second)).total.item()
    others = iter([first[3:], second[3:], texts[3:]])
    monkeypatch.setattr(distributed, "gathered", lambda values: torch.cat([values, next(others)]))
    half = evaluate(InfoNCE(), unlabeled_rows=texts[:3], **views(first[:3], second[:3])).total.item()
    assert half == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize(("argument", "value"), [("weight", -1), ("temperature", 0), ("until", 0), ("until", 1.1)])
def test_settings_out_of_range_are_refused(argument, value):
    with pytest.raises(SettingsError, match=argument):
        InfoNCE(**{argument: value})
