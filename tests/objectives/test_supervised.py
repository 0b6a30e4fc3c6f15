"""The supervised loss and training signal annealing."""

import math

import numpy as np
import pytest
import torch

from text_uda.errors import SettingsError
from text_uda.model.classifier import ClassifierOutput
from text_uda.model.inputs import Batch, Features
from text_uda.objectives import Context, Supervised
from text_uda.objectives.supervised import annealed_cross_entropy, row_losses


def call(objective: Supervised, logits: torch.Tensor, labels: torch.Tensor, *, step=0, steps=10, share=None):
    context = Context(
        student=None,  # pyright: ignore[reportArgumentType]
        views={"labeled": ClassifierOutput(logits, logits)},
        step=step,
        steps=steps,
        classes=logits.shape[-1],
        key=0,
        state=objective.initial_state(
            torch.full((logits.shape[-1],), 1 / logits.shape[-1]) if share is None else share, 0
        ),
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


# --- class weights and label smoothing --------------------------------------------------------------------------------


def numpy_supervised(logits, labels, weights, smoothing: float, threshold: float = 2.0) -> float:
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    total, number = 0.0, 0
    for row, label in zip(log_p, labels, strict=True):
        if np.exp(row[label]) < threshold:
            target = np.full(len(row), smoothing / len(row))
            target[label] += 1 - smoothing
            total, number = total - weights[label] * float((target * row).sum()), number + 1
    return total / max(1, number)


def test_class_weights_and_label_smoothing_by_hand():
    # p = (3/4, 1/4) of class 0 with weight 2, p = (1/2, 1/2) of class 1 with weight 4: divided by two rows
    logits, labels = torch.tensor([[math.log(3.0), 0.0], [0.0, 0.0]]), torch.tensor([0, 1])
    loss = call(Supervised(class_weights=(2.0, 4.0)), logits, labels)
    assert loss.total.item() == pytest.approx((2 * math.log(4 / 3) + 4 * math.log(2)) / 2, abs=1e-6)
    # e = 0.2 of two classes: 0.9 and 0.1
    loss = call(Supervised(label_smoothing=0.2), logits[:1], labels[:1])
    assert loss.total.item() == pytest.approx(0.9 * math.log(4 / 3) + 0.1 * math.log(4), abs=1e-6)


def test_balanced_weights_are_those_of_scikit_learn():
    labels = np.repeat([0, 1, 2], [12, 6, 2])
    share = torch.from_numpy(np.bincount(labels) / len(labels)).float()
    state = Supervised(class_weights="balanced").initial_state(share, 0)
    assert state["class_weights"].tolist() == pytest.approx([20 / 36, 20 / 18, 20 / 6])
    weights = pytest.importorskip("sklearn.utils.class_weight")
    expected = weights.compute_class_weight("balanced", classes=np.arange(3), y=labels)
    assert state["class_weights"].tolist() == pytest.approx(expected.tolist())
    balanced = Supervised(class_weights="balanced").initial_state(torch.full((4,), 1 / 4), 0)
    assert balanced["class_weights"].tolist() == [1.0] * 4


@pytest.mark.parametrize("tsa", [None, "linear"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.4])
@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0, 1.0), (0.5, 1.0, 2.0, 4.0)])
def test_both_agree_with_numpy_with_and_without_annealing(random_logits, weights, smoothing, tsa):
    logits = random_logits(0)
    labels = torch.cat([logits.argmax(dim=-1)[:6], torch.tensor([1, 3, 3, 0, 1, 2])])
    loss = call(Supervised(class_weights=weights, label_smoothing=smoothing, tsa=tsa), logits, labels, step=5)
    threshold = 2.0 if tsa is None else 0.5 * 0.75 + 0.25
    expected = numpy_supervised(logits.numpy(), labels.numpy(), weights, smoothing, threshold)
    assert loss.total.item() == pytest.approx(expected, abs=1e-6)
    assert tsa is None or 0 < loss.terms["labeled_counted"] < 1


def test_annealing_looks_at_the_probability_and_not_at_the_weighted_or_smoothed_loss():
    # p(correct) is 0.6 and 0.4 at a threshold of 0.5: the second row counts, whatever its loss is made of
    logits, labels = torch.tensor([[math.log(1.5), 0.0], [0.0, math.log(1.5)]]), torch.tensor([0, 0])
    for options in ({}, {"class_weights": torch.tensor([0.01, 1.0])}, {"class_weights": torch.tensor([100.0, 1.0])}):
        for smoothing in (0.0, 0.5):
            loss, counted = annealed_cross_entropy(logits, labels, threshold=0.5, label_smoothing=smoothing, **options)
            assert counted.tolist() == [False, True], (options, smoothing)
            alone = row_losses(logits[1:], labels[1:], label_smoothing=smoothing, **options)
            torch.testing.assert_close(loss, alone[0])


def test_the_gradient_equals_finite_differences(random_logits):
    logits, labels = random_logits(1).requires_grad_(), torch.arange(12) % 4
    objective = Supervised(class_weights="balanced", label_smoothing=0.1, tsa="log")
    share = torch.tensor([0.4, 0.3, 0.2, 0.1])
    total = lambda z: call(objective, z, labels, step=4, share=share).total  # noqa: E731
    assert torch.autograd.gradcheck(total, (logits,), fast_mode=True)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"class_weights": "even"}, "choose balanced"),
        ({"class_weights": (1.0, 0.0)}, "a finite number above 0 for each class"),
        ({"class_weights": (1.0, math.inf)}, "a finite number above 0 for each class"),
        ({"class_weights": [1.0, 2.0]}, "give a tuple"),
        ({"label_smoothing": 1.0}, "label_smoothing=1.0"),
        ({"label_smoothing": -0.1}, "label_smoothing=-0.1"),
    ],
)
def test_settings_out_of_range_are_refused(wrong, said):
    with pytest.raises(SettingsError, match=said):
        Supervised(**wrong)


def test_weights_of_another_number_of_classes_are_refused():
    with pytest.raises(SettingsError, match="has 2 weights and the data 3 classes"):
        Supervised(class_weights=(1.0, 2.0)).initial_state(torch.full((3,), 1 / 3), 0)
