"""The supervised loss, with training signal annealing (TSA)."""

import math
from dataclasses import dataclass
from typing import ClassVar, get_args

from torch import Tensor
from torch.nn.functional import cross_entropy

from text_uda import distributed
from text_uda.batch import Batch
from text_uda.errors import SettingsError
from text_uda.objectives.objective import Context, Loss, Needs, shares
from text_uda.schedules import TSASchedule, tsa_threshold


def annealed_cross_entropy(logits: Tensor, labels: Tensor, *, threshold: float) -> tuple[Tensor, Tensor]:
    """Cross entropy over the rows whose *correct-class* probability is below the threshold.

    Xie et al. 2019 (arXiv 1904.12848), Equation 2: the sum over the rows that count, divided by their number. Zero,
    with a gradient of zero, when no row counts.

    Args:
        logits: (L, C).
        labels: (L,).
        threshold: eta_t.
    Returns:
        the loss, a scalar; which rows count, (L,) bool.
    """
    losses = cross_entropy(logits, labels, reduction="none")  # (L,)
    counted = losses.detach() > -math.log(threshold)  # p(correct) = exp(-loss) < threshold
    number = distributed.mean(counted.sum().float())
    return (losses * counted).sum() / number.clamp_min(1 / distributed.processes()), counted


@dataclass(frozen=True, kw_only=True)
class Supervised:
    """E[-log p(y|x)] over the labeled rows.

    Source: Xie et al. 2019, "Unsupervised Data Augmentation for Consistency Training" (arXiv 1904.12848), Section 3.3.
    """

    tsa: TSASchedule | None = None
    """Release the labeled rows gradually: drop those that the model already gets right with confidence."""

    needs: ClassVar[Needs] = Needs(views=("labeled",))

    def __post_init__(self) -> None:
        if self.tsa is not None and self.tsa not in get_args(TSASchedule):
            raise SettingsError(f"tsa={self.tsa!r}: choose one of {', '.join(get_args(TSASchedule))}, or None")

    def __call__(self, context: Context, batch: Batch) -> Loss:
        logits = context.views["labeled"].logits
        if self.tsa is None:
            loss = cross_entropy(logits, batch.labels)
            return Loss(loss, {"supervised": loss.detach()})
        threshold = tsa_threshold(self.tsa, step=context.step, steps=context.steps, classes=context.classes)
        loss, counted = annealed_cross_entropy(logits, batch.labels, threshold=threshold)
        return Loss(
            loss,
            {"supervised": loss.detach(), "tsa_threshold": threshold, "labeled_counted": shares(counted)},
        )
