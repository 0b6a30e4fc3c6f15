"""What the methods with hard pseudo-labels share: the label of the weak view, and its loss on the strong one.

Weak is the original text and strong the augmented one. The methods differ in which rows count, and how much.
"""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from text_uda import distributed
from text_uda.objectives.objective import Loss, agreement, shares


def pseudo_label_loss(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Mean over *all* U rows of weight * CE(label, softmax(logits)).

    Sohn et al. 2020, FixMatch (arXiv 2001.07685), Equation 4, where the weight is 0 or 1.

    Args:
        logits: of the strong view, (U, C).
        labels: hard pseudo-labels, (U,) int64.
        weights: (U,), bool or in [0, 1]; no gradient goes into them.
    """
    return (cross_entropy(logits, labels, reduction="none") * weights.detach()).mean()


def running(mean: Tensor, values: Tensor, momentum: float) -> Tensor:
    """mean <- m mean + (1 - m) values, in place; the values are averaged over the processes first."""
    return mean.lerp_(distributed.mean(values).to(mean.dtype), 1 - momentum)


def told(name: str, loss: Tensor, weight: float, labels: Tensor, logits: Tensor, counted: Tensor) -> Loss:
    """The loss with its weight, and what is logged of each of these methods.

    Args:
        labels: of the weak view, (U,).
        logits: of the strong view, (U, C).
        counted: which rows count, (U,) bool, or by how much.
    """
    terms: dict[str, Tensor | float] = {
        name: loss.detach(),
        f"{name}_weight": weight,
        "confident": shares(counted),
        "agreement": agreement(labels, logits, counted),
    }
    return Loss(weight * loss, terms)


def histogram(labels: Tensor, classes: int) -> Tensor:
    """Share of each class, (C,) float32; zeros where there is no label. (U,) int64"""
    counts = torch.zeros(classes, device=labels.device).index_add_(0, labels, torch.ones_like(labels).float())
    return counts / max(1, len(labels))
