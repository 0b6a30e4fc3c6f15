"""The Pi-model: two noisy passes over a text should agree, with gradient through both."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from text_uda.model.inputs import Batch
from text_uda.objectives.checks import check_share, check_weight
from text_uda.objectives.functional import squared_difference
from text_uda.objectives.objective import Context, Loss, Needs
from text_uda.objectives.schedules import ramp_up


def mutual_squared_difference(logits: Float[Tensor, "B C"], other_logits: Float[Tensor, "B C"]) -> Float[Tensor, ""]:
    """Mean over rows and classes of (softmax(z) - softmax(z~))^2.

    Laine & Aila 2017 (arXiv 1610.02242), Algorithm 1. The gradient goes into both.
    """
    return squared_difference(logits.softmax(dim=-1), other_logits.softmax(dim=-1)).mean()


@dataclass(frozen=True, kw_only=True)
class PiModel:
    """w(t) * mean (p(y|x; noise) - p(y|x~; noise'))^2 over the unlabeled rows and the classes.

    Source: Laine & Aila 2017, "Temporal Ensembling for Semi-Supervised Learning" (arXiv 1610.02242), Section 2.1,
    Algorithm 1 (w(t) -> weight times the ramp-up).

    For text: x~ is the augmented view, or without an augmentation x itself with different dropout. The paper's w_max of
    100 M / N, for images and training from scratch, is far too large for a head on a pretrained encoder: both branches
    move, and agree most easily on a constant prediction. The paper's sum includes the labeled rows; here the mean runs
    over the unlabeled batch, as in all other losses.
    """

    weight: float = 1.0
    """Largest w(t), tuned on the development split of `wordnet-14` (two seeds, a head on the packaged encoder): errors
    of 39.2, 39.8 and 41.1% at 1, 3 and 10, and 39.7% without the loss."""

    ramp_up: float = 0.4
    """Share of the steps over which the weight grows to its full value; 0 for none."""

    needs: ClassVar[Needs] = Needs(views=("original", "second"))

    def __post_init__(self) -> None:
        check_weight(self.weight)
        check_share("ramp_up", self.ramp_up)

    def __call__(self, context: Context, batch: Batch) -> Loss:
        loss = mutual_squared_difference(context.views["original"].logits, context.views["second"].logits)
        weight = self.weight * ramp_up(step=context.step, steps=context.steps, share=self.ramp_up)
        return Loss(weight * loss, {"pi_model": loss.detach(), "pi_model_weight": weight})
