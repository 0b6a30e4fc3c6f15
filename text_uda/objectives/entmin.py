"""Entropy minimisation: rewards confident predictions on unlabeled texts."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from text_uda.model.inputs import Batch
from text_uda.objectives.checks import check_share, check_weight
from text_uda.objectives.functional import soft_cross_entropy
from text_uda.objectives.objective import Context, Loss, Needs
from text_uda.objectives.schedules import ramp_up


def conditional_entropy(logits: Float[Tensor, "U C"]) -> Float[Tensor, ""]:
    """Mean over rows of H(softmax(z)), in nats, with the gradient through both p and log p.

    Grandvalet & Bengio 2005, the entropy term of their criterion C(theta, lambda).
    """
    return soft_cross_entropy(logits.softmax(dim=-1), logits).mean()


@dataclass(frozen=True, kw_only=True)
class EntMin:
    """lambda(t) * mean H(p(y|x)) over the unlabeled rows.

    Source: Grandvalet & Bengio 2005, "Semi-supervised Learning by Entropy Minimization" (NIPS 17; lambda -> weight
    times the ramp-up); the "EntMin" of "VAT + EntMin" in Miyato et al. 2018 (arXiv 1704.03976), which adds it with
    weight 1.

    For text: x is the original text, with dropout. Departs from both papers by the ramp-up: they train from scratch,
    where predictions stay uncertain for long, while a new head on a pretrained encoder would become confident in its
    first guesses. Miyato et al. sum over the labeled rows too; here the mean runs over the unlabeled batch, as in all
    other losses.
    """

    weight: float = 1.0
    """Largest lambda(t)."""

    ramp_up: float = 0.4
    """Share of the steps over which the weight grows to its full value; 0 for none."""

    needs: ClassVar[Needs] = Needs(views=("original",))

    def __post_init__(self) -> None:
        check_weight(self.weight)
        check_share("ramp_up", self.ramp_up)

    def __call__(self, context: Context, batch: Batch) -> Loss:
        loss = conditional_entropy(context.views["original"].logits)
        weight = self.weight * ramp_up(step=context.step, steps=context.steps, share=self.ramp_up)
        return Loss(weight * loss, {"entmin": loss.detach(), "entmin_weight": weight})
