"""SoftMatch: every pseudo-label counts, the less the further its confidence lies below the mean."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from text_uda import distributed
from text_uda.model.inputs import Batch
from text_uda.objectives.checks import check_momentum, check_positive, check_weight
from text_uda.objectives.class_prior import Prior, alignment_state, check_prior
from text_uda.objectives.functional import align
from text_uda.objectives.hard_pseudo_labels import pseudo_label_loss, running, told
from text_uda.objectives.objective import Context, Loss, Needs


def gaussian_weight(confidence: Tensor, mean: Tensor, variance: Tensor, *, deviations: float) -> Tensor:
    """exp( - (min(c - mu, 0))^2 / (2 sigma^2 / n^2) ): 1 from the mean on, and falling below it.

    Chen et al. 2023 (arXiv 2301.10921), Section 3.1, with lambda_max = 1; n is the number of deviations in the authors'
    code, which the formula of the paper does not have.

    Args:
        confidence: (U,).
        mean, variance: mu and sigma^2, scalars.
        deviations: n; 1 is the paper's formula.
    Returns:
        (U,), in (0, 1].
    """
    below = (confidence - mean).clamp_max(0)
    return torch.exp(-below.square() * deviations**2 / (2 * variance.clamp_min(1e-12)))


@dataclass(frozen=True, kw_only=True)
class SoftMatch:
    """lambda * mean w(max p~(y|x)) CE( argmax sg p(y|x), p(y|x^) ) over all unlabeled rows.

    w is a Gaussian of running mean and variance below its mean, and 1 above it (`gaussian_weight`); p~ is p aligned
    to a prior by its running mean, and decides the weight but not the label.

    Source: Chen et al. 2023, "SoftMatch: Addressing the Quantity-Quality Trade-off in Semi-supervised Learning" (arXiv
    2301.10921), Section 3.1, and 3.2 for the uniform alignment (lambda -> weight, m -> momentum, n_sigma of the
    authors' code -> deviations). The mean starts at 1/K and the variance at 1; the variance is the unbiased one of a
    batch. The running mean of p starts at the prior, where the authors' code starts with that of the first batch.

    For text: the weak view is the original text, the strong one the augmented. The momentum is 0.99 and not the paper's
    0.999: fine-tuning an encoder takes hundreds of steps where the paper has a million.
    """

    weight: float = 1.0
    """lambda."""

    deviations: float = 2.0
    """n_sigma: the larger, the faster the weight falls."""

    alignment: Prior | None = "uniform"
    """What p is aligned to for its weight (see `Prior`). "uniform" is the paper, for classes that are equally frequent:
    it gives rows of rare classes more weight than rows of frequent ones. "labels" or the share of each class expects a
    skew; None weighs p as it is."""

    momentum: float = 0.99
    """How much of the running means a step keeps."""

    needs: ClassVar[Needs] = Needs(views=("second",), targets=True, augmentation=True)

    def __post_init__(self) -> None:
        check_weight(self.weight)
        check_positive("deviations", self.deviations)
        if self.alignment is not None:
            check_prior(self.alignment, "alignment")
        check_momentum(self.momentum)

    def initial_state(self, label_share: Tensor, unlabeled: int) -> dict[str, Tensor]:
        threshold = {"mean": torch.tensor(1 / len(label_share)), "variance": torch.tensor(1.0)}
        return threshold | alignment_state(self.alignment, label_share)

    def __call__(self, context: Context, batch: Batch) -> Loss:
        assert context.targets is not None
        state, logits = context.state, context.views["second"].logits
        probabilities = context.targets.softmax(dim=-1)
        labels = probabilities.argmax(dim=-1)  # (U,)
        if self.alignment is not None:
            mean = running(state["mean_prediction"], probabilities.mean(dim=0), self.momentum)
            probabilities = align(probabilities, mean, state["prior"])
        confidence = probabilities.amax(dim=-1)
        everywhere = distributed.gathered(confidence)
        running(state["mean"], everywhere.mean(), self.momentum)
        if len(everywhere) > 1:
            running(state["variance"], everywhere.var(), self.momentum)
        weights = gaussian_weight(confidence, state["mean"], state["variance"], deviations=self.deviations)
        loss = told("softmatch", pseudo_label_loss(logits, labels, weights), self.weight, labels, logits, weights)
        loss.terms["threshold"] = state["mean"].clone()
        return loss
