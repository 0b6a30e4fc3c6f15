"""PCGrad against an independent version, and its place in a step."""

import numpy as np
import pytest
import torch

from text_uda.errors import SettingsError
from text_uda.tasks.joint import Joint
from text_uda.tasks.pcgrad import backward, orders_of, projected


def by_vectors(gradients: np.ndarray, orders: list[list[int]]) -> np.ndarray:
    """Algorithm 1 of the paper on the vectors themselves, (T, P) -> (P,)."""
    total = np.zeros(gradients.shape[1])
    for task, order in enumerate(orders):
        own = gradients[task].copy()
        for other in order:
            dot = own @ gradients[other]
            if dot < 0:
                own = own - dot / (gradients[other] @ gradients[other]) * gradients[other]
        total += own
    return total


@pytest.mark.parametrize("tasks", [1, 2, 3, 5])
def test_it_equals_a_version_on_vectors(tasks):
    chance = np.random.default_rng(tasks)
    for step in range(20):
        gradients = chance.normal(size=(tasks, 7))
        orders = orders_of(tasks, seed=3, step=step)
        coefficients = projected(gradients @ gradients.T, orders)
        np.testing.assert_allclose(coefficients @ gradients, by_vectors(gradients, orders), rtol=0, atol=1e-9)


def test_gradients_without_conflict_are_added():
    assert projected(np.array([[1.0, 0.5], [0.5, 2.0]]), [[1], [0]]).tolist() == [1.0, 1.0]


def test_opposite_gradients_cancel_and_a_gradient_of_zero_does_no_harm():
    gradients = np.array([[1.0], [-1.0]])
    assert projected(gradients @ gradients.T, [[1], [0]]) @ gradients == pytest.approx([0.0])
    assert projected(np.array([[1.0, 0.0], [0.0, 0.0]]), [[1], [0]]).tolist() == [1.0, 1.0]


def test_the_order_depends_on_the_seed_and_the_step_alone():
    orders = [orders_of(4, seed=1, step=step) for step in range(10)]
    assert orders == [orders_of(4, seed=1, step=step) for step in range(10)]
    assert len({str(order) for order in orders}) > 1
    assert orders != [orders_of(4, seed=2, step=step) for step in range(10)]
    assert all(sorted([*of_task, task]) == [0, 1, 2, 3] for order in orders for task, of_task in enumerate(order))


def test_it_projects_the_shared_weights_alone(one_step):
    """The encoder gets the combined gradient; a head keeps the gradient of its own task."""
    models, step = one_step.models, one_step.joint()
    shared = models.shared_parameters()
    own: dict[str, list[torch.Tensor]] = {}

    def run(batches, *key):
        result = step(batches, 3, 5, one_step.teacher)
        result.loss.backward()
        (name,) = batches.batches
        own[name] = [p.grad.flatten().clone() for p in shared if p.grad is not None]
        return result

    result = backward(run, one_step.batches, models, seed=9)
    vectors = np.stack([torch.cat(parts).numpy() for parts in own.values()])
    expected = by_vectors(vectors, orders_of(2, seed=9, step=one_step.batches.step))
    actual = torch.cat([p.grad.flatten() for p in shared if p.grad is not None]).numpy()
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-9)
    assert result.loss.item() == pytest.approx(sum(float(result.terms[f"{name}/loss"]) for name in own))
    heads = one_step.gradients()
    step(one_step.batches, 3, 5, one_step.teacher).loss.backward()
    for name, gradient in one_step.gradients().items():
        if "classifier" in name or "pooler" in name:
            torch.testing.assert_close(heads[name], gradient, rtol=0, atol=1e-12, msg=name)


def test_several_processes_are_refused():
    with pytest.raises(SettingsError, match="each of 2 processes has a part of a batch: use one process"):
        Joint(weights="pcgrad").check(["a", "b"], processes=2)
