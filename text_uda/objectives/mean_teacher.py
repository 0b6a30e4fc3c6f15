"""Mean Teacher: the prediction on one view should agree with the prediction of averaged weights on the other view."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from text_uda.model.inputs import Batch
from text_uda.objectives.checks import check_share, check_weight
from text_uda.objectives.functional import squared_difference
from text_uda.objectives.objective import Context, Loss, Needs, shares
from text_uda.objectives.schedules import ramp_up


def squared_difference_to_teacher(
    logits: Float[Tensor, "U C"], teacher_logits: Float[Tensor, "U C"]
) -> Float[Tensor, ""]:
    """Mean over rows and classes of (softmax(z) - sg softmax(z_teacher))^2.

    Tarvainen & Valpola 2017 (arXiv 1703.01780), Section 3: J(theta), with the mean over classes, as in the authors'
    code.
    """
    return squared_difference(logits.softmax(dim=-1), teacher_logits.detach().softmax(dim=-1)).mean()


@dataclass(frozen=True, kw_only=True)
class MeanTeacher:
    """w(t) * mean (p(y|x') - sg p_ema(y|x''))^2 over the unlabeled rows and the classes.

    Source: Tarvainen & Valpola 2017, "Mean teachers are better role models" (arXiv 1703.01780), Section 3. `EMA` in
    text_uda/objectives/weight_averaging.py averages the weights, with its default decay unless `averaging` is set; the
    run evaluates the averaged model, as in the paper.

    For text: x'' is the original text, and x' the augmented text, or without an augmentation the original with dropout.
    The gradient goes through the student only. The teacher has no dropout (see `Averaged`).
    """

    weight: float = 10.0
    """Largest w(t); 100 in the paper, where images have ten classes and networks are trained from scratch."""

    ramp_up: float = 0.4
    """Share of the steps over which the weight grows to its full value; 0 for none."""

    needs: ClassVar[Needs] = Needs(views=("second",), teacher=True)

    def __post_init__(self) -> None:
        check_weight(self.weight)
        check_share("ramp_up", self.ramp_up)

    def __call__(self, context: Context, batch: Batch) -> Loss:
        assert context.teacher_logits is not None
        logits = context.views["second"].logits
        loss = squared_difference_to_teacher(logits, context.teacher_logits)
        agreement = logits.argmax(dim=-1) == context.teacher_logits.argmax(dim=-1)
        weight = self.weight * ramp_up(step=context.step, steps=context.steps, share=self.ramp_up)
        terms = {"mean_teacher": loss.detach(), "mean_teacher_weight": weight, "agreement": shares(agreement)}
        return Loss(weight * loss, terms)
