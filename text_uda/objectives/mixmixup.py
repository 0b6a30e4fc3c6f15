"""mixmixup: mixes trusted (labeled) rows with each other, and untrusted (pseudo-labeled) rows with trusted rows."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from text_uda.model.inputs import Batch
from text_uda.model.mixing import draw_mixing
from text_uda.objectives.checks import check_positive, check_share, check_temperature, check_weight
from text_uda.objectives.functional import soft_cross_entropy
from text_uda.objectives.guessed_labels import guess_labels, join_rows
from text_uda.objectives.objective import Context, Loss, Needs
from text_uda.objectives.schedules import linear_ramp


def trusted_and_untrusted(
    logits: Float[Tensor, "M C"], targets: Float[Tensor, "M C"], *, labeled: int
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Cross entropy of the mixed trusted rows and of the mixed untrusted rows, each a mean over rows.

    Zhang et al. 2018, mixup (arXiv 1710.09412), Section 2, on two kinds of rows.

    Args:
        logits, targets: of the M = L + U mixed rows, the trusted rows first; the targets are detached here.
        labeled: L.
    """
    losses = soft_cross_entropy(targets.detach(), logits)
    return losses[:labeled].mean(), losses[labeled:].mean()


@dataclass(frozen=True, kw_only=True)
class MixMixup:
    """mean CE( m y_i + (1-m) y_j, p(mix(x_i, x_j)) ) + lambda_u(t) * mean CE( m q_i + (1-m) y_j, p(mix(u_i, x_j)) ).

    x are labeled texts and y their labels; u are unlabeled texts and q = sharpen(p(y|u), T) the model's predictions on
    them, without gradient; m ~ Beta(alpha, alpha). It includes a labeled loss: do not combine it with `Supervised`.

    Source: after Hataya & Nakayama 2019, "Unifying Semi-Supervised and Robust Learning by Mixup" (ICLR workshop on
    learning from limited labeled data). **An interpretation** of the abstract, the only part that was read:
    it says that mixup techniques are mixed to learn from a small trusted part and a large untrusted part. That every
    partner is a trusted row, and everything else in the equation, is ours.

    For text: word embeddings are mixed position by position, with attention to the positions of either text.
    """

    unlabeled_weight: float = 1.0
    """Largest lambda_u."""

    temperature: float = 0.5
    """T of the pseudo-labels."""

    alpha: float = 0.75
    """Parameter of the Beta distribution: the smaller, the less a row is mixed."""

    ramp_up: float = 0.4
    """Share of the steps over which lambda_u grows linearly to its full value; 0 for none."""

    needs: ClassVar[Needs] = Needs(rows=("labeled", "original"), embeddings=True)

    def __post_init__(self) -> None:
        check_weight(self.unlabeled_weight, "unlabeled_weight")
        check_temperature(self.temperature)
        check_positive("alpha", self.alpha)
        check_share("ramp_up", self.ramp_up)

    def __call__(self, context: Context, batch: Batch) -> Loss:
        assert batch.original is not None
        student, views = context.student, (batch.original,)
        guessed = guess_labels(student, views, temperature=self.temperature)
        rows, labels = join_rows(student, batch, views, guessed)
        sizes = [len(batch.labeled), len(batch.original)]
        mixing = draw_mixing(context.key, sizes, alpha=self.alpha, with_first_group=True, device=labels.device)
        logits = student(rows, mixing=mixing).logits
        trusted, untrusted = trusted_and_untrusted(logits, mixing(labels), labeled=sizes[0])
        weight = self.unlabeled_weight * linear_ramp(step=context.step, steps=context.steps, end=self.ramp_up)
        terms: dict[str, Tensor | float] = {
            "supervised": trusted.detach(),
            "mixmixup": untrusted.detach(),
            "mixmixup_weight": weight,
            "confidence": guessed.amax(dim=-1).mean(),
        }
        return Loss(trusted + weight * untrusted, terms)
