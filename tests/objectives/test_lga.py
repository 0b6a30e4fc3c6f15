"""LGA: the projection, the closed form of both gradients, imputed labels by hand, gradient through p alone."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from text_uda import distributed
from text_uda.errors import SettingsError
from text_uda.objectives.lga import LGA, aligned_labels, last_layer_gradient, project_to_simplex

ROWS = torch.tensor([1, 7, 3, 0, 4])


@pytest.fixture
def views(random_logits) -> dict:
    generator = torch.Generator().manual_seed(0)
    hidden = [torch.randn(rows, 6, generator=generator, dtype=torch.float64) for rows in (4, 5)]
    return {"labeled": (random_logits(0, 4, 3), hidden[0]), "original": (random_logits(1, 5, 3), hidden[1])}


def numpy_projection(row):
    """By bisection for the threshold at which the rest sums to one, not by sorting."""
    low, high = row.min() - 1, row.max()
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if np.maximum(row - middle, 0).sum() > 1 else (low, middle)
    return np.maximum(row - low, 0)


def softmax(z):
    powers = np.exp(z)
    return powers / powers.sum(axis=-1, keepdims=True)


def numpy_step(labeled, labels, original, imputed, step_size):
    """New labels by central differences of D, of which the step takes U / (2 mean |(h, 1)|^2)."""
    with_one = lambda hidden: np.concatenate([hidden, np.ones((len(hidden), 1))], axis=1)  # noqa: E731

    def distance(imputed):
        gradients = []
        for (logits, hidden), given in ((labeled, np.eye(3)[labels]), (original, imputed)):
            outer = [np.outer(p - y, h) for p, y, h in zip(softmax(logits), given, with_one(hidden), strict=True)]
            gradients.append(np.mean(outer, axis=0))
        return ((gradients[0] - gradients[1]) ** 2).sum()

    derivative = np.zeros_like(imputed)
    for place in np.ndindex(*imputed.shape):
        change = np.zeros_like(imputed)
        change[place] = 1e-4
        derivative[place] = (distance(imputed + change) - distance(imputed - change)) / 2e-4
    scale = (with_one(original[1]) ** 2).sum(axis=1).mean()
    moved = imputed - step_size * len(imputed) / (2 * scale) * derivative
    return np.stack([numpy_projection(row) for row in moved]), distance(imputed)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ([0.2, 0.3, 0.5], [0.2, 0.3, 0.5]),  # it is there already
        ([0.6, 0.8], [0.4, 0.6]),
        ([2.0, 0.5, -1.0], [1.0, 0.0, 0.0]),
        ([0.9, 0.5, -1.0], [0.7, 0.3, 0.0]),
        ([-3.0, -3.0], [0.5, 0.5]),
    ],
)
def test_the_projection_by_hand(row, expected):
    torch.testing.assert_close(project_to_simplex(torch.tensor([row])), torch.tensor([expected]))


@pytest.mark.parametrize("classes", [2, 5, 20])
def test_the_projection_agrees_with_numpy(classes):
    values = 2 * torch.randn(50, classes, generator=torch.Generator().manual_seed(classes), dtype=torch.float64)
    found = project_to_simplex(values).numpy()
    np.testing.assert_allclose(found, [numpy_projection(row) for row in values.numpy()], atol=1e-9)
    assert (found >= 0).all() and found.sum(axis=1) == pytest.approx(1)


def test_what_is_not_a_number_stays_so():  # and the trainer says where it was
    assert project_to_simplex(torch.tensor([[math.nan, 0.0]])).isnan().any()


def test_the_gradient_of_the_last_layer_is_that_of_autograd(random_logits):
    layer = torch.nn.Linear(6, 3).double()
    hidden, labels = random_logits(0, 5, 6), random_logits(1, 5, 3).softmax(dim=-1)
    torch.nn.functional.cross_entropy(layer(hidden), labels).backward()
    assert layer.weight.grad is not None and layer.bias.grad is not None
    expected = torch.cat([layer.weight.grad, layer.bias.grad[:, None]], dim=1)
    torch.testing.assert_close(last_layer_gradient(layer(hidden).detach(), hidden, labels), expected)


def test_a_step_by_hand():
    # (h, 1) = (1, 1), of squared length 2: each label moves by step_size times half of the sum over (h, 1)
    difference = torch.tensor([[0.2, 0.2], [-0.2, -0.2]])
    moved = aligned_labels(torch.tensor([[0.5, 0.5]]), torch.ones(1, 1), difference, step_size=1.0)
    torch.testing.assert_close(moved, torch.tensor([[0.3, 0.7]]))


@pytest.mark.parametrize("step_size", [0.5, 4.0])
def test_agrees_with_numpy_over_two_steps(evaluate, views, step_size):
    objective, labels = LGA(step_size=step_size, weight=3.0, ramp_up=0), torch.tensor([0, 2, 1, 1])
    state = objective.initial_state(torch.full((3,), 1 / 3), 8)
    logits = views["original"][0].numpy()
    imputed = softmax(logits)  # of rows that were not seen before
    given = {"labels": labels, "unlabeled_rows": ROWS, "state": state}
    for _ in range(2):
        loss = evaluate(objective, **given, **views)
        arrays = [tuple(part.numpy() for part in views[name]) for name in ("labeled", "original")]
        imputed, distance = numpy_step(arrays[0], labels.numpy(), arrays[1], imputed, step_size)
        np.testing.assert_allclose(state["labels"][ROWS].numpy(), imputed, atol=1e-6)
        expected = -3 * (imputed * np.log(softmax(logits))).sum(axis=1).mean()
        assert loss.total.item() == pytest.approx(expected, abs=1e-6)
        assert loss.terms["gradient_distance"].item() == pytest.approx(distance, abs=1e-6)
    assert not state["labels"][[2, 5, 6]].any()  # never seen


def test_small_steps_bring_the_gradients_together(evaluate, views):
    objective = LGA(step_size=0.2)
    given = {
        "labels": torch.tensor([0, 2, 1, 1]),
        "unlabeled_rows": ROWS,
        "state": objective.initial_state(torch.full((3,), 1 / 3), 8),
    }
    distances = [evaluate(objective, **given, **views).terms["gradient_distance"].item() for _ in range(20)]
    assert all(later < before for before, later in pairwise(distances))


def test_the_gradient_goes_through_the_predictions_on_the_unlabeled_rows_only(evaluate, views):
    parts = [part.requires_grad_() for view in views.values() for part in view]
    state = LGA().initial_state(torch.full((3,), 1 / 3), 8)
    evaluate(LGA(ramp_up=0), unlabeled_rows=ROWS, state=state, **views).total.backward()
    assert [part.grad is None for part in parts] == [True, True, False, True]
    logits, imputed = views["original"][0], state["labels"][ROWS].double()
    torch.testing.assert_close(logits.grad, (logits.detach().softmax(dim=-1) - imputed) / 5)
    assert not state["labels"].requires_grad
    fixed = lambda z: torch.nn.functional.cross_entropy(z, imputed)  # noqa: E731
    assert torch.autograd.gradcheck(fixed, (logits,))


def test_a_row_that_is_there_twice_gets_the_mean_of_both_steps(evaluate, views):
    copies = torch.tensor([1, 7, 1, 0, 4])
    alone, twice = (LGA().initial_state(torch.full((3,), 1 / 3), 8) for _ in range(2))
    evaluate(LGA(), unlabeled_rows=ROWS, state=alone, **views)
    evaluate(LGA(), unlabeled_rows=copies, state=twice, **views)
    torch.testing.assert_close(twice["labels"][1], (alone["labels"][1] + alone["labels"][3]) / 2)
    torch.testing.assert_close(twice["labels"][[7, 0, 4]], alone["labels"][[7, 0, 4]])


def test_rows_of_other_processes_are_remembered_too(evaluate, views, monkeypatch):
    monkeypatch.setattr(
        distributed, "gathered", lambda each: torch.cat([each, each + 1 if each.ndim == 1 else each.flip(1)])
    )
    state = LGA().initial_state(torch.full((3,), 1 / 3), 9)
    evaluate(LGA(), unlabeled_rows=torch.tensor([0, 2, 4, 6, 7]), state=state, **views)
    assert torch.equal(state["labels"][1], state["labels"][0].flip(0)) and state["labels"][8].any()


def test_in_bf16_the_labels_are_those_of_float32(evaluate, views):
    views = {name: tuple(part.float() for part in view) for name, view in views.items()}
    states = [LGA().initial_state(torch.full((3,), 1 / 3), 8) for _ in range(2)]
    for state, enabled in zip(states, (False, True), strict=True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            evaluate(LGA(), unlabeled_rows=ROWS, state=state, **views)
    assert torch.equal(states[0]["labels"], states[1]["labels"])


def test_labels_that_agree_with_a_confident_model_stay_and_cost_about_zero(evaluate):
    right = 30 * torch.eye(3, dtype=torch.float64), torch.ones(3, 2, dtype=torch.float64)
    given = {
        "labels": torch.arange(3),
        "unlabeled_rows": torch.arange(3),
        "state": LGA().initial_state(torch.full((3,), 1 / 3), 3),
    }
    loss = evaluate(LGA(ramp_up=0), labeled=right, original=right, **given)
    assert loss.total.item() == pytest.approx(0, abs=1e-9)
    torch.testing.assert_close(given["state"]["labels"], torch.eye(3))


@pytest.mark.parametrize(("argument", "value"), [("weight", -1), ("step_size", 0), ("ramp_up", 1.5)])
def test_settings_out_of_range_are_refused(argument, value):
    with pytest.raises(SettingsError, match=argument):
        LGA(**{argument: value})
