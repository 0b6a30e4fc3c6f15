"""Hard pseudo-labels: the predicted class of the weak view is the label of the strong view.

The weak view is the original text, the strong view the augmented text. The methods differ in the weight of each row.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy

from text_uda import distributed
from text_uda.objectives.objective import Loss, agreement, shares

RowWeights = Bool[Tensor, " U"] | Float[Tensor, " U"]
"""Which rows count, or by how much, in [0, 1]."""


def pseudo_label_loss(
    logits: Float[Tensor, "U C"], labels: Int[Tensor, " U"], weights: RowWeights
) -> Float[Tensor, ""]:
    """Mean over *all* U rows of weight * CE(label, softmax(logits)).

    Sohn et al. 2020, FixMatch (arXiv 2001.07685), Equation 4, where the weight is 0 or 1.

    Args:
        logits: of the strong view.
        labels: hard pseudo-labels.
        weights: detached here.
    """
    return (cross_entropy(logits, labels, reduction="none") * weights.detach()).mean()


def update_running_mean(
    mean: Float[Tensor, "*axes"], values: Float[Tensor, "*axes"], momentum: float
) -> Float[Tensor, "*axes"]:
    """mean <- m mean + (1 - m) values, in place, with the mean of the values over all processes."""
    return mean.lerp_(distributed.mean(values).to(mean.dtype), 1 - momentum)


def weighted_loss(
    name: str,
    loss: Float[Tensor, ""],
    weight: float,
    labels: Int[Tensor, " U"],
    logits: Float[Tensor, "U C"],
    counted: RowWeights,
) -> Loss:
    """weight * loss, and the log terms that these methods have in common.

    Args:
        labels: of the weak view.
        logits: of the strong view.
    """
    terms: dict[str, Tensor | float] = {
        name: loss.detach(),
        f"{name}_weight": weight,
        "confident": shares(counted),
        "agreement": agreement(labels, logits, counted),
    }
    return Loss(weight * loss, terms)


def histogram(labels: Int[Tensor, " U"], classes: int) -> Float[Tensor, " {classes}"]:
    """The share of each class among the labels, float32; all zeros without labels."""
    counts = torch.zeros(classes, device=labels.device).index_add_(0, labels, torch.ones_like(labels).float())
    return counts / max(1, len(labels))
