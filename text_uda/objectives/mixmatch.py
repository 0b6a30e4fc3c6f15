"""MixMatch: mixes labeled rows and unlabeled rows with guessed labels."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from text_uda.model.inputs import Batch
from text_uda.model.mixing import draw_mixing
from text_uda.objectives.checks import check_positive, check_share, check_temperature, check_weight
from text_uda.objectives.functional import soft_cross_entropy, squared_difference
from text_uda.objectives.guessed_labels import guess_labels, join_rows
from text_uda.objectives.objective import Context, Loss, Needs
from text_uda.objectives.schedules import linear_ramp


def mixed_losses(
    logits: Float[Tensor, "M C"], targets: Float[Tensor, "M C"], *, labeled: int
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """L_X, the cross entropy of the mixed labeled rows, and L_U, the squared difference of the mixed unlabeled rows.

    Berthelot et al. 2019 (arXiv 1905.02249), Equations 3 and 4: means over rows, and for L_U over classes too.

    Args:
        logits, targets: of the M = L + k U mixed rows, the labeled rows first; the targets are detached here.
        labeled: L.
    """
    targets = targets.detach()
    supervised = soft_cross_entropy(targets[:labeled], logits[:labeled]).mean()
    return supervised, squared_difference(logits[labeled:].softmax(dim=-1), targets[labeled:]).mean()


@dataclass(frozen=True, kw_only=True)
class MixMatch:
    """mean CE( y', p(x') ) over mixed labeled rows + lambda_u(t) * mean ( p(u') - q' )^2 over mixed unlabeled rows.

    q = sharpen(mean of p over two views, T) is the guessed label of both views. All rows, labeled and unlabeled, are
    mixed with a permutation of themselves, with m' = max(m, 1 - m) and m ~ Beta(alpha, alpha). It includes a labeled
    loss: do not combine it with `Supervised`.

    Source: Berthelot et al. 2019, "MixMatch: A Holistic Approach to Semi-Supervised Learning" (arXiv 1905.02249),
    Algorithm 1 and Equations 3 to 11 (lambda_u -> unlabeled_weight, times a linear ramp as in the authors' code; T ->
    temperature; K = 2 views).

    The defaults of the authors' code are lambda_u = 100, reached over the first 1/64 of the training, and alpha = 0.5
    (0.75 in the paper); it has two augmented views, and evaluates an average of the weights (decay 0.999). Here
    lambda_u is smaller and its ramp longer, since a run is much shorter and a new head guesses at random in its first
    part; averaging is a separate setting (`averaging=EMA()`). The field's benchmark (USB) keeps 100 for text.

    For text: the views are the original text and the augmented text, or without an augmentation the original text twice
    with different dropout. Word embeddings are mixed position by position, with attention to the positions of either
    text.
    """

    unlabeled_weight: float = 10.0
    """Largest lambda_u; 75 to 250 in the paper, where networks are trained from scratch."""

    temperature: float = 0.5
    """T of the guessed labels."""

    alpha: float = 0.75
    """Parameter of the Beta distribution: the smaller, the less a row is mixed."""

    ramp_up: float = 0.4
    """Share of the steps over which lambda_u grows linearly to its full value; 0 for none."""

    needs: ClassVar[Needs] = Needs(rows=("labeled", "original", "second"), embeddings=True)

    def __post_init__(self) -> None:
        check_weight(self.unlabeled_weight, "unlabeled_weight")
        check_temperature(self.temperature)
        check_positive("alpha", self.alpha)
        check_share("ramp_up", self.ramp_up)

    def __call__(self, context: Context, batch: Batch) -> Loss:
        assert batch.original is not None
        views = (batch.original, batch.second)
        guessed = guess_labels(context.student, views, temperature=self.temperature)
        rows, labels = join_rows(context.student, batch, views, guessed)
        sizes = [len(batch.labeled), *map(len, views)]
        mixing = draw_mixing(context.key, sizes, alpha=self.alpha, larger_weight=True, device=labels.device)
        logits = context.student(rows, mixing=mixing).logits
        supervised, unlabeled = mixed_losses(logits, mixing(labels), labeled=sizes[0])
        weight = self.unlabeled_weight * linear_ramp(step=context.step, steps=context.steps, end=self.ramp_up)
        terms: dict[str, Tensor | float] = {
            "supervised": supervised.detach(),
            "mixmatch": unlabeled.detach(),
            "mixmatch_weight": weight,
            "confidence": guessed.amax(dim=-1).mean(),
        }
        return Loss(supervised + weight * unlabeled, terms)
