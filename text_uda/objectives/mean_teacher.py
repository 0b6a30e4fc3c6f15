"""Mean Teacher: the prediction on one view is to agree with that of an average of the weights on the other."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from text_uda.model.inputs import Batch
from text_uda.objectives.checks import check_share, check_weight
from text_uda.objectives.functional import squared_difference
from text_uda.objectives.objective import Context, Loss, Needs, shares
from text_uda.objectives.schedules import ramp_up


def squared_difference_to_teacher(logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """Mean over rows and classes of (softmax(z) - sg softmax(z_teacher))^2.

    Tarvainen & Valpola 2017 (arXiv 1703.01780), Section 3: J(theta), with the mean over classes of the authors' code.

    Args:
        logits, teacher_logits: (U, C).
    """
    return squared_difference(logits.softmax(dim=-1), teacher_logits.detach().softmax(dim=-1)).mean()


@dataclass(frozen=True, kw_only=True)
class MeanTeacher:
    """w(t) * mean (p(y|x') - sg p_ema(y|x''))^2 over the unlabeled rows and the classes.

    Source: Tarvainen & Valpola 2017, "Mean teachers are better role models" (arXiv 1703.01780), Section 3. The average
    of the weights is `EMA` in text_uda/objectives/weight_averaging.py; it is what such a run evaluates, as in the
    paper, and it is made with its default decay where `averaging` is not given.

    For text: x'' is the original text, x' the augmented one, or without an augmentation the original with dropout.
    The gradient goes through the student alone. The teacher has no dropout, see `Averaged`.
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
