"""ICT: the prediction on a mixture of two texts is to be the mixture of the teacher's predictions on them."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from text_uda.model.inputs import Batch
from text_uda.model.mixing import draw_mixing
from text_uda.objectives.checks import check_positive, check_share, check_weight
from text_uda.objectives.functional import squared_difference
from text_uda.objectives.objective import Context, Loss, Needs
from text_uda.objectives.schedules import ramp_up


def interpolation_loss(logits: Tensor, mixed_targets: Tensor) -> Tensor:
    """Mean over rows and classes of (softmax(z of the mixed row) - mixed q)^2, no gradient into q.

    Verma et al. 2019 (arXiv 1903.03825), Section 2, the loss L_US.

    Args:
        logits, mixed_targets: (U, C).
    """
    return squared_difference(logits.softmax(dim=-1), mixed_targets.detach()).mean()


@dataclass(frozen=True, kw_only=True)
class ICT:
    """w(t) * mean ( p(mix(u_i, u_j; m)) - (m q_i + (1 - m) q_j) )^2 over the unlabeled rows and the classes.

    q is the prediction of the teacher, an average of the weights (`EMA`), and m ~ Beta(alpha, alpha).

    Source: Verma et al. 2019, "Interpolation Consistency Training for Semi-Supervised Learning" (arXiv 1903.03825),
    Section 2, L_US (alpha -> alpha, w -> weight times the ramp-up). Each row has its own m and a partner from a
    permutation of the batch; the authors' code draws one m for a batch. It also mixes the teacher's logits, where the
    paper, and this, mix its predictions, and it mixes the labeled rows as well, which here stay as they are.

    For text: word embeddings are mixed, place by place, and a place is attended to when either text has it. Features of
    a frozen encoder are mixed as they are.
    """

    weight: float = 50.0
    """Largest w(t); up to 100 in the paper. Of 10 and 50 the better one on the development split of `wordnet-14` (38.9
    and 37.8%, two seeds, a head on the packaged encoder)."""

    alpha: float = 0.2
    """Of the Beta distribution: the smaller, the nearer m is to 0 or 1; 0.1 to 2 in the paper."""

    ramp_up: float = 0.4
    """Share of the steps over which the weight grows to its full value; 0 for none."""

    needs: ClassVar[Needs] = Needs(rows=("original",), teacher=True, embeddings=True)

    def __post_init__(self) -> None:
        check_weight(self.weight)
        check_positive("alpha", self.alpha)
        check_share("ramp_up", self.ramp_up)

    def __call__(self, context: Context, batch: Batch) -> Loss:
        assert batch.original is not None and context.teacher_logits is not None
        targets = context.teacher_logits.softmax(dim=-1)  # (U, C)
        mixing = draw_mixing(context.key, [len(targets)], alpha=self.alpha, device=targets.device)
        loss = interpolation_loss(context.student(batch.original, mixing=mixing).logits, mixing(targets))
        weight = self.weight * ramp_up(step=context.step, steps=context.steps, share=self.ramp_up)
        return Loss(weight * loss, {"ict": loss.detach(), "ict_weight": weight})
