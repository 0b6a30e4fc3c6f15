"""MixMatch: labeled rows and unlabeled ones with guessed labels, mixed with each other."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from text_uda.model.inputs import Batch
from text_uda.model.mixing import draw_mixing
from text_uda.objectives.checks import check_positive, check_share, check_temperature, check_weight
from text_uda.objectives.functional import soft_cross_entropy, squared_difference
from text_uda.objectives.guessed_labels import guessed_labels, under_each_other
from text_uda.objectives.objective import Context, Loss, Needs
from text_uda.objectives.schedules import linear_ramp


def mixed_losses(logits: Tensor, targets: Tensor, *, labeled: int) -> tuple[Tensor, Tensor]:
    """L_X, the cross entropy of the mixed labeled rows, and L_U, the squared difference of the others.

    Berthelot et al. 2019 (arXiv 1905.02249), Equations 3 and 4: means over rows, and for L_U over classes too.

    Args:
        logits, targets: of the mixed rows, (L + k U, C), the labeled ones first; no gradient into the targets.
        labeled: L.
    """
    targets = targets.detach()
    supervised = soft_cross_entropy(targets[:labeled], logits[:labeled]).mean()
    return supervised, squared_difference(logits[labeled:].softmax(dim=-1), targets[labeled:]).mean()


@dataclass(frozen=True, kw_only=True)
class MixMatch:
    """mean CE( y', p(x') ) over mixed labeled rows + lambda_u(t) * mean ( p(u') - q' )^2 over mixed unlabeled ones.

    q = sharpen(mean of p over two views, T) is the guessed label of both views. All rows, labeled and unlabeled, are
    mixed with a permutation of themselves, with m' = max(m, 1 - m) and m ~ Beta(alpha, alpha). It has a labeled loss of
    its own: take it without `Supervised`.

    Source: Berthelot et al. 2019, "MixMatch: A Holistic Approach to Semi-Supervised Learning" (arXiv 1905.02249),
    Algorithm 1 and Equations 3 to 11 (lambda_u -> unlabeled_weight, times a linear ramp as in the authors' code; T ->
    temperature; K = 2 views).

    The authors' code has lambda_u = 100 unless told, reached over the first 1/64 of the training, alpha = 0.5 unless
    told (0.75 in the paper), two augmented views, and evaluates an average of the weights (decay 0.999). Here lambda_u
    is smaller and its ramp longer, since a run is much shorter and a new head guesses at random for the first part of
    it, and averaging is asked for beside it (`averaging=EMA()`). The field's benchmark (USB) keeps 100 for text.

    For text: the views are the original text and the augmented one, or without an augmentation the original twice, with
    other dropout. Word embeddings are mixed, place by place, and a place is attended to when either text has it.
    """

    unlabeled_weight: float = 10.0
    """Largest lambda_u; 75 to 250 in the paper, where networks are trained from scratch."""

    temperature: float = 0.5
    """T of the guessed labels."""

    alpha: float = 0.75
    """Of the Beta distribution: the smaller, the less a row is mixed."""

    ramp_up: float = 0.4
    """Share of the steps over which lambda_u grows linearly to its full value; 0 for none."""

    needs: ClassVar[Needs] = Needs(labeled=True, unlabeled=True, second=True, embeddings=True)

    def __post_init__(self) -> None:
        check_weight(self.unlabeled_weight, "unlabeled_weight")
        check_temperature(self.temperature)
        check_positive("alpha", self.alpha)
        check_share("ramp_up", self.ramp_up)

    def __call__(self, context: Context, batch: Batch) -> Loss:
        assert batch.original is not None
        views = (batch.original, batch.second)
        guessed = guessed_labels(context.student, views, temperature=self.temperature)
        rows, labels = under_each_other(context.student, batch, views, guessed)
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
