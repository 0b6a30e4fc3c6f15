"""SoftMatch: every pseudo-label counts, with a weight that falls the further its confidence is below the mean."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from text_uda import distributed
from text_uda.model.inputs import Batch
from text_uda.objectives.checks import check_momentum, check_positive, check_weight
from text_uda.objectives.class_prior import Prior, alignment_state, check_prior
from text_uda.objectives.functional import align
from text_uda.objectives.hard_pseudo_labels import pseudo_label_loss, update_running_mean, weighted_loss
from text_uda.objectives.objective import Context, Loss, Needs


def gaussian_weight(
    confidence: Float[Tensor, " U"], mean: Float[Tensor, ""], variance: Float[Tensor, ""], *, deviations: float
) -> Float[Tensor, " U"]:
    """exp( - (min(c - mu, 0))^2 / (2 sigma^2 / n^2) ): 1 above the mean, and falling below it.

    Chen et al. 2023 (arXiv 2301.10921), Section 3.1, with lambda_max = 1; n is a number of deviations from the
    authors' code, which is not in the paper's formula.

    Args:
        confidence: c.
        mean, variance: mu and sigma^2.
        deviations: n; 1 is the paper's formula.
    """
    below = (confidence - mean).clamp_max(0)
    return torch.exp(-below.square() * deviations**2 / (2 * variance.clamp_min(1e-12)))


@dataclass(frozen=True, kw_only=True)
class SoftMatch:
    """lambda * mean w(max p~(y|x)) CE( argmax sg p(y|x), p(y|x^) ) over all unlabeled rows.

    w is 1 above the running mean of max p~, and below it a Gaussian with the running mean and variance
    (`gaussian_weight`); p~ is p, aligned to a prior by its running mean, and decides the weight but not the label.

    Source: Chen et al. 2023, "SoftMatch: Addressing the Quantity-Quality Trade-off in Semi-supervised Learning" (arXiv
    2301.10921), Section 3.1, and 3.2 for the uniform alignment (lambda -> weight, m -> momentum, n_sigma of the
    authors' code -> deviations). The mean starts at 1/K and the variance at 1; the variance is the unbiased variance of
    a batch. The running mean of p starts at the prior; in the authors' code, at the mean of the first batch.

    For text: the weak view is the original text, the strong view the augmented text. The momentum is 0.99 and not the
    paper's 0.999: fine-tuning an encoder takes hundreds of steps, and the paper a million.
    """

    weight: float = 1.0
    """lambda."""

    deviations: float = 2.0
    """n_sigma: the larger, the faster the weight falls."""

    alignment: Prior | None = "uniform"
    """Prior that p is aligned to for its weight (see `Prior`). "uniform" is the paper, for equally frequent classes: it
    gives rows of rare classes more weight than rows of frequent classes. "labels" or the share of each class allow for
    a skew; None weighs p without alignment."""

    momentum: float = 0.99
    """Factor on the previous running means."""

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
            mean = update_running_mean(state["mean_prediction"], probabilities.mean(dim=0), self.momentum)
            probabilities = align(probabilities, mean, state["prior"])
        confidence = probabilities.amax(dim=-1)
        all_confidences = distributed.gathered(confidence)
        update_running_mean(state["mean"], all_confidences.mean(), self.momentum)
        if len(all_confidences) > 1:
            update_running_mean(state["variance"], all_confidences.var(), self.momentum)
        weights = gaussian_weight(confidence, state["mean"], state["variance"], deviations=self.deviations)
        loss = weighted_loss(
            "softmatch", pseudo_label_loss(logits, labels, weights), self.weight, labels, logits, weights
        )
        loss.terms["threshold"] = state["mean"].clone()
        return loss
