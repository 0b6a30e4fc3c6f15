"""Supervised contrast: values, which rows are positives, gradients, all processes as one."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from text_uda import distributed
from text_uda.errors import SettingsError
from text_uda.objectives import SupCon
from text_uda.objectives.supcon import supervised_contrast

LABELS = torch.tensor([0, 1, 1, 2, 0, 1])


def rows(seed: int, number: int = 6, width: int = 5) -> Tensor:
    return torch.randn(number, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def views(first: Tensor, again: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    return {
        "labeled": (torch.zeros(len(first), 3), first),
        "labeled_again": (torch.zeros(len(again), 3), again),
    }


def numpy_supcon(hidden: np.ndarray, labels: np.ndarray, temperature: float) -> float:
    z = hidden / np.linalg.norm(hidden, axis=1, keepdims=True)
    losses = []
    for i in range(len(z)):
        others = [a for a in range(len(z)) if a != i]
        positives = [p for p in others if labels[p] == labels[i]]
        if not positives:
            continue
        among = math.log(sum(math.exp(z[i] @ z[a] / temperature) for a in others))
        losses.append(-sum(z[i] @ z[p] / temperature - among for p in positives) / len(positives))
    return float(np.mean(losses))


def test_by_hand():
    # at right angles are rows 0 and 1 of one class and row 2 of another, which lies where 0 does, only longer
    hidden = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]])
    loss, nearest = supervised_contrast(hidden, torch.tensor([1, 1, 0]), temperature=0.5)
    from_0 = math.log(math.exp(0) + math.exp(2))  # its positive has the cosine 0, the other row 1
    from_1 = math.log(2.0)  # both others have the cosine 0
    assert loss.item() == pytest.approx((from_0 + from_1) / 2, abs=1e-6), "row 2 has no positive"
    assert not nearest[0] and not nearest[2]


@pytest.mark.parametrize("temperature", [0.05, 0.3, 1.0])
def test_agrees_with_numpy(evaluate, temperature):
    first, again = rows(0), rows(1)
    loss = evaluate(SupCon(weight=2.0, temperature=temperature), labels=LABELS, **views(first, again))
    expected = numpy_supcon(torch.cat([first, again]).numpy(), torch.cat([LABELS, LABELS]).numpy(), temperature)
    assert loss.terms["supcon"].item() == pytest.approx(expected, rel=1e-9)
    assert loss.total.item() == pytest.approx(2 * expected, rel=1e-9)


def test_the_other_dropout_is_no_neighbor(evaluate):
    """Else each row would have its class in the most similar one, whatever the model does."""
    first = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]])
    neighbors = [
        evaluate(SupCon(), labels=torch.tensor(labels), **views(first, first)).terms["supcon_nearest"].item()
        for labels in ([0, 0, 1, 1], [0, 1, 0, 1], [0, 0, 0, 1])
    ]
    assert neighbors == [1.0, 0.0, 0.5]


def test_rows_without_another_of_their_class_are_negatives_alone():
    hidden, labels = rows(2), torch.tensor([0, 1, 2, 3, 0, 4])
    loss, _ = supervised_contrast(hidden, labels, temperature=0.2)
    assert loss.item() == pytest.approx(numpy_supcon(hidden.numpy(), labels.numpy(), 0.2), rel=1e-9)
    hidden.requires_grad_()
    nothing, _ = supervised_contrast(hidden, torch.arange(6), temperature=0.2)
    nothing.backward()
    assert nothing.item() == 0 and hidden.grad is not None and not hidden.grad.any()


def test_the_gradient_reaches_both_passes_and_equals_finite_differences(evaluate):
    passes = rows(0).requires_grad_(), rows(1).requires_grad_()
    call = lambda first, again: evaluate(SupCon(temperature=0.5), labels=LABELS, **views(first, again)).total  # noqa: E731
    call(*passes).backward()
    assert all(each.grad is not None and each.grad.abs().sum(dim=1).all() for each in passes)
    assert torch.autograd.gradcheck(call, passes)


def test_only_directions_count():
    hidden = rows(3)
    one, _ = supervised_contrast(hidden, LABELS, temperature=0.1)
    longer, _ = supervised_contrast(hidden * torch.arange(1, 7)[:, None], LABELS, temperature=0.1)
    assert longer.item() == pytest.approx(one.item(), rel=1e-9)


def test_steps_down_the_gradient_bring_classes_together():
    hidden = rows(4).requires_grad_()
    _, before = supervised_contrast(hidden, LABELS, temperature=0.1)
    optimizer = torch.optim.SGD([hidden], lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        supervised_contrast(hidden, LABELS, temperature=0.1)[0].backward()
        optimizer.step()
    _, after = supervised_contrast(hidden, LABELS, temperature=0.1)
    has_another = torch.tensor([True, True, True, False, True, True])
    assert not before[has_another].all() and after[has_another].all()


def test_half_precision_around_it_changes_nothing():
    exact, _ = supervised_contrast(rows(5).float(), LABELS, temperature=0.05)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, _ = supervised_contrast(rows(5).float(), LABELS, temperature=0.05)
    assert torch.equal(loss, exact)


def test_rows_of_all_processes_are_contrasted(evaluate, monkeypatch):
    first, again = rows(6), rows(7)
    whole = evaluate(SupCon(), labels=LABELS, **views(first, again)).total.item()
    others = iter([first[3:], again[3:], LABELS[3:]])
    monkeypatch.setattr(distributed, "gathered", lambda values: torch.cat([values, next(others)]))
    half = evaluate(SupCon(), labels=LABELS[:3], **views(first[:3], again[:3])).total.item()
    assert half == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize(("argument", "value"), [("weight", -1), ("temperature", 0), ("until", 0), ("until", 1.1)])
def test_settings_out_of_range_are_refused(argument, value):
    with pytest.raises(SettingsError, match=argument):
        SupCon(**{argument: value})
