"""R-Drop: two dropout passes over a labeled text should agree with each other and with the label."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cross_entropy, log_softmax

from text_uda.model.inputs import Batch
from text_uda.objectives.checks import check_weight
from text_uda.objectives.objective import Context, Loss, Needs


def symmetric_divergence(logits: Float[Tensor, "B C"], other_logits: Float[Tensor, "B C"]) -> Float[Tensor, ""]:
    """Mean over rows of 1/2 (KL(p || q) + KL(q || p)), in nats, with the gradient through both.

    Liang et al. 2021 (arXiv 2106.14448), Equation 2. The two divergences sum to sum (p - q) (log p - log q), which
    avoids 0 log 0 and its gradient.

    Args:
        logits, other_logits: of p and of q.
    """
    log_p, log_q = log_softmax(logits, dim=-1), log_softmax(other_logits, dim=-1)
    return ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum(dim=-1).mean() / 2


@dataclass(frozen=True, kw_only=True)
class RDrop:
    """mean [ -log p_2(y|x) + alpha/2 (KL(p_1 || p_2) + KL(p_2 || p_1)) ] over the labeled rows, beside `Supervised`.

    p_1 and p_2 are two passes with dropout; -log p_1(y|x) is the loss of `Supervised`, and the sum of the two
    objectives is the loss of the paper. It excludes `tsa`.

    Source: Liang et al. 2021, "R-Drop: Regularized Dropout for Neural Networks" (arXiv 2106.14448), Equations 2 to 4
    (alpha -> alpha). `weight` multiplies both terms of this objective.

    This follows the paper: both cross entropies have a factor of 1, and all three terms are means over rows. In the
    authors' code for GLUE the divergence is summed over the B rows of a batch, while the cross entropies are means.
    Their BERT has both cross entropies with a factor of 1 and 0.5 times that sum: alpha = 0.5 B here, 4 for a step of 8
    labeled rows. Their RoBERTa has half of the first cross entropy, none of the second, and 0.7 times the sum, which no
    setting here reproduces.
    """

    weight: float = 1.0
    """Factor on the second cross entropy and the divergence."""

    alpha: float = 1.0
    """Factor on the divergence; 0.1 to 1 in the paper on GLUE, and 5 for translation."""

    needs: ClassVar[Needs] = Needs(views=("labeled", "labeled again"))

    def __post_init__(self) -> None:
        check_weight(self.weight)
        check_weight(self.alpha, "alpha")

    def __call__(self, context: Context, batch: Batch) -> Loss:
        logits, again = context.views["labeled"].logits, context.views["labeled again"].logits
        supervised_again = cross_entropy(again, batch.labels)
        divergence = symmetric_divergence(logits, again)
        terms: dict[str, Tensor | float] = {
            "supervised_again": supervised_again.detach(),
            "r_drop": divergence.detach(),
        }
        return Loss(self.weight * (supervised_again + self.alpha * divergence), terms)
