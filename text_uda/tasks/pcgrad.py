"""PCGrad: gradients of tasks without the parts that conflict."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from text_uda.keyed_random import keyed_generator
from text_uda.tasks.method import Run, TaskBatches
from text_uda.tasks.shared_encoder import SharedEncoder
from text_uda.training.step import StepLoss


def projected(gram: np.ndarray, orders: Sequence[Sequence[int]]) -> np.ndarray:
    """The coefficients c of the combined gradient sum_t c_t g_t, (T,).

    Each gradient g_i is projected off the others, in a random order, where their dot product is negative:
    g_i <- g_i - (g_i . g_j / |g_j|^2) g_j; the results are added. A projection is a linear combination of the
    gradients, so their dot products determine it.

    Source: Yu et al. 2020, "Gradient Surgery for Multi-Task Learning" (arXiv 2001.06782), Algorithm 1.

    Args:
        gram: the dot products of the gradients, (T, T) float64.
        orders: for each task, the order of the other tasks.
    """
    tasks = len(gram)
    combinations = np.eye(tasks)  # row i: g_i after its projections, as a combination of the gradients
    for task, order in enumerate(orders):
        for other in order:
            dot = combinations[task] @ gram[:, other]
            if dot < 0:
                combinations[task, other] -= dot / gram[other, other]
    return combinations.sum(axis=0)


def orders_of(tasks: int, *, seed: int, step: int) -> list[list[int]]:
    """For each task, a random order of the other tasks."""
    generator = keyed_generator(seed, "pcgrad", step)
    return [[int(other) for other in generator.permutation(tasks) if other != task] for task in range(tasks)]


def backward(run: Run, batches: TaskBatches, models: SharedEncoder, *, seed: int) -> StepLoss:
    """One pass for each task. The shared parameters get the combined gradient; a head has the gradient of its task."""
    shared = models.shared_parameters()
    results: dict[str, StepLoss] = {}
    gradients: list[list[Tensor | None]] = []
    for name in batches.batches:
        results[name] = run(batches.of(name), *((name,) if results else ()))
        gradients.append([parameter.grad for parameter in shared])
        if len(batches.batches) > 1:
            for parameter in shared:
                parameter.grad = None
    if len(gradients) > 1:
        coefficients = projected(_gram(gradients), orders_of(len(gradients), seed=seed, step=batches.step))
        for parameter, of_tasks in zip(shared, zip(*gradients, strict=True), strict=True):
            parameter.grad = _combined(of_tasks, coefficients)
    return _joined(list(results.values()))


@torch.no_grad()
def _gram(gradients: Sequence[Sequence[Tensor | None]]) -> np.ndarray:
    """The dot products of the gradients of T tasks, (T, T); a missing gradient is zero."""

    def dot(first: Sequence[Tensor | None], second: Sequence[Tensor | None]) -> float:
        pairs = [
            (one, other) for one, other in zip(first, second, strict=True) if one is not None and other is not None
        ]
        products = [torch.dot(one.flatten(), other.flatten()).double() for one, other in pairs]
        return float(torch.stack(products).sum()) if products else 0.0

    gram = np.zeros((len(gradients), len(gradients)))
    for i, first in enumerate(gradients):
        for j, second in enumerate(gradients[: i + 1]):
            gram[i, j] = gram[j, i] = dot(first, second)
    return gram


@torch.no_grad()
def _combined(gradients: Sequence[Tensor | None], coefficients: np.ndarray) -> Tensor | None:
    terms = [
        coefficient * gradient
        for coefficient, gradient in zip(coefficients.tolist(), gradients, strict=True)
        if gradient is not None
    ]
    return torch.stack(terms).sum(dim=0) if terms else None


def _joined(results: Sequence[StepLoss]) -> StepLoss:
    """The sum of the losses, with the parts and terms of all."""

    def merged(part: Callable[[StepLoss], Mapping[str, Tensor]]) -> dict[str, Tensor]:
        return {name: value for result in results for name, value in part(result).items()}

    return StepLoss(
        torch.stack([result.loss.detach() for result in results]).sum(),
        merged(lambda result: result.parts),
        merged(lambda result: result.terms),  # pyright: ignore[reportReturnType, reportArgumentType]
        None,
    )
