"""SNTG: in the last hidden layer, texts of one class should be close to each other, and texts of two classes apart."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from text_uda import distributed
from text_uda.model.inputs import Batch
from text_uda.objectives.checks import check_positive, check_share, check_weight
from text_uda.objectives.objective import Context, Loss, Needs, shares
from text_uda.objectives.schedules import ramp_up


def neighbor_loss(
    hidden: Float[Tensor, "B H"], targets: Int[Tensor, " B"], *, margin: float
) -> tuple[Float[Tensor, ""], Bool[Tensor, " pairs"]]:
    """Mean over all pairs i < j of W d^2 + (1 - W) max(0, m - d)^2, with W = 1[y~_i = y~_j].

    Luo et al. 2018 (arXiv 1711.00258), Section 3.2; d^2 is the mean over the H units of the squared difference,
    as in the authors' code. Two equal vectors get a gradient of zero, although the gradient of the square root is
    undefined there.

    Args:
        hidden: h.
        targets: y~.
        margin: m.
    Returns:
        the loss; which of the B (B - 1) / 2 pairs are neighbors.
    """
    distances = torch.pdist(hidden) / math.sqrt(hidden.shape[1])  # (pairs,)
    first, second = torch.triu_indices(len(hidden), len(hidden), offset=1, device=hidden.device)
    neighbors = targets[first] == targets[second]
    apart = (margin - distances).clamp_min(0).square()
    return torch.where(neighbors, distances.square(), apart).mean(), neighbors


@dataclass(frozen=True, kw_only=True)
class SNTG:
    """w(t) * mean over pairs of W d^2 + (1 - W) max(0, m - d)^2. Combine it with `PiModel` or `MeanTeacher`.

    Source: Luo et al. 2018, "Smooth Neighbors on Teacher Graphs for Semi-supervised Learning" (arXiv 1711.00258),
    Section 3.2 (m -> margin; their second weight -> weight times the ramp-up).

    y~ of a labeled row is its label. y~ of an unlabeled row is the most probable class according to the averaged
    weights, if another objective needs them (`MeanTeacher`), else according to the original view; the authors' Pi-model
    uses the other of its two passes. No gradient goes through y~. h is the input of the last linear layer, for the
    labeled and the original view; the gradient goes into both rows of a pair.

    Departs from the paper by its pairs: all pairs of a batch, over all processes, instead of one half against the
    other; the paper's loss is an unbiased estimate of this. For text nothing else changes.
    """

    weight: float = 4.0
    """Largest w(t): 0.4 times the weight of `MeanTeacher`, as in the paper. Beside `PiModel` at its weight of 1, the
    development error on `wordnet-14` (two seeds, a head on the packaged encoder) is 34.2% at 4 and 37.3% at 0.4."""

    margin: float = 1.0
    """m, the least distance between texts of two classes, per unit of h."""

    ramp_up: float = 0.4
    """Share of the steps over which the weight grows to its full value; 0 for none."""

    needs: ClassVar[Needs] = Needs(views=("labeled", "original"), hidden=True)

    def __post_init__(self) -> None:
        check_weight(self.weight)
        check_positive("margin", self.margin)
        check_share("ramp_up", self.ramp_up)

    def __call__(self, context: Context, batch: Batch) -> Loss:
        labeled, original = context.views["labeled"], context.views["original"]
        teacher = original.logits if context.teacher_logits is None else context.teacher_logits
        parts = [(labeled.hidden, batch.labels), (original.hidden, teacher.argmax(dim=-1))]
        loss, neighbors = neighbor_loss(
            torch.cat([distributed.gathered(hidden) for hidden, _ in parts]),
            torch.cat([distributed.gathered(targets) for _, targets in parts]),
            margin=self.margin,
        )
        weight = self.weight * ramp_up(step=context.step, steps=context.steps, share=self.ramp_up)
        return Loss(weight * loss, {"sntg": loss.detach(), "sntg_weight": weight, "neighbors": shares(neighbors)})
