"""The supervised loss, with training signal annealing (TSA)."""

from dataclasses import dataclass
from typing import ClassVar, get_args

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from text_uda.batch import Batch
from text_uda.errors import SettingsError
from text_uda.objectives.objective import Context, Loss
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
    counted = losses.detach() > -torch.log(torch.tensor(threshold))  # p(correct) = exp(-loss) < threshold
    return (losses * counted).sum() / counted.sum().clamp_min(1), counted


@dataclass(frozen=True, kw_only=True)
class Supervised:
    """E[-log p(y|x)] over the labeled rows.

    Source: Xie et al. 2019, "Unsupervised Data Augmentation for Consistency Training" (arXiv 1904.12848), Section 3.3.
    """

    tsa: TSASchedule | None = None
    """Release the labeled rows gradually: drop those that the model already gets right with confidence."""

    needs_pairs: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.tsa is not None and self.tsa not in get_args(TSASchedule):
            raise SettingsError(f"tsa={self.tsa!r}: choose one of {', '.join(get_args(TSASchedule))}, or None")

    def initial_state(self, classes: int) -> dict[str, Tensor]:
        return {}

    def __call__(self, context: Context, batch: Batch) -> Loss:
        if self.tsa is None:
            loss = cross_entropy(context.labeled_logits, batch.labels)
            return Loss(loss, {"supervised": loss.detach()})
        classes = context.labeled_logits.shape[-1]
        threshold = tsa_threshold(self.tsa, step=context.step, steps=context.steps, classes=classes)
        loss, counted = annealed_cross_entropy(context.labeled_logits, batch.labels, threshold=threshold)
        share = counted.float().mean()
        return Loss(loss, {"supervised": loss.detach(), "tsa_threshold": threshold, "labeled_counted": share})
