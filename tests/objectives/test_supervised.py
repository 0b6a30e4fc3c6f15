"""The supervised loss and training signal annealing."""

import math

import numpy as np
import pytest
import torch

from text_uda.batch import Batch, Features
from text_uda.errors import SettingsError
from text_uda.model import Output
from text_uda.objectives import Context, Supervised
from text_uda.objectives.supervised import annealed_cross_entropy


def call(objective: Supervised, logits: torch.Tensor, labels: torch.Tensor, *, step: int = 0, steps: int = 10):
    context = Context(
        student=None,  # pyright: ignore[reportArgumentType]
        views={"labeled": Output(logits, logits)},
        step=step,
        steps=steps,
        classes=logits.shape[-1],
        key=0,
        state={},
    )
    return objective(context, Batch(Features(logits), labels))


def numpy_annealed(logits: np.ndarray, labels: np.ndarray, threshold: float) -> float:
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    correct = (shifted / shifted.sum(axis=-1, keepdims=True))[np.arange(len(labels)), labels]
    counted = correct < threshold
    return float((-np.log(correct) * counted).sum() / max(1, counted.sum()))


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_annealed_cross_entropy_agrees_with_numpy(seed, threshold):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(16, 5, generator=generator, dtype=torch.float64) * 2
    labels = torch.randint(5, (16,), generator=generator)
    loss, _ = annealed_cross_entropy(logits, labels, threshold=threshold)
    assert loss.item() == pytest.approx(numpy_annealed(logits.numpy(), labels.numpy(), threshold), abs=1e-6)


def test_tsa_looks_at_the_correct_class_not_at_the_largest():
    # Both rows have a largest probability of 0.9. The first is right (0.9 >= 0.5: left out), the second wrong (0.1).
    logits = torch.tensor([[math.log(9.0), 0.0], [math.log(9.0), 0.0]])
    loss, counted = annealed_cross_entropy(logits, torch.tensor([0, 1]), threshold=0.5)
    assert counted.tolist() == [False, True]
    assert loss.item() == pytest.approx(-math.log(0.1), abs=1e-5)  # divided by the one row that counts


def test_when_no_row_counts_the_loss_and_its_gradient_are_zero():
    logits = torch.tensor([[5.0, 0.0]], requires_grad=True)
    loss, counted = annealed_cross_entropy(logits, torch.tensor([0]), threshold=0.5)
    loss.backward()
    assert not counted.any() and loss.item() == 0.0
    assert logits.grad is not None and not logits.grad.any()


def test_without_tsa_it_is_the_cross_entropy():
    logits, labels = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([1, 0])
    expected = (math.log(1 + math.exp(-1.0)) + math.log(2.0)) / 2
    loss = call(Supervised(), logits, labels)
    assert loss.total.item() == pytest.approx(expected, abs=1e-6)


def test_the_threshold_rises_over_the_run():
    logits, labels = torch.tensor([[1.0, 0.0]]), torch.tensor([0])  # p(correct) = 0.73
    early = call(Supervised(tsa="linear"), logits, labels, step=0)  # eta = 0.5
    late = call(Supervised(tsa="linear"), logits, labels, step=9)  # eta = 0.95
    assert early.terms["labeled_counted"] == 0 and late.terms["labeled_counted"] == 1
    assert early.total.item() == 0 and late.total.item() > 0


def test_an_unknown_schedule_is_refused():
    with pytest.raises(SettingsError, match="choose one of linear, log, exp"):
        Supervised(tsa="cosine")
