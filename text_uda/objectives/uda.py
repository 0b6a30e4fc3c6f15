"""UDA: the prediction on an augmented text should agree with the prediction on the original."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Bool, Float
from torch import Tensor

from text_uda.model.inputs import Batch
from text_uda.objectives.checks import (
    check_momentum,
    check_share,
    check_temperature,
    check_threshold,
    check_weight,
)
from text_uda.objectives.class_prior import Prior, alignment_state, check_prior
from text_uda.objectives.functional import align, kl_divergence, sharpen
from text_uda.objectives.hard_pseudo_labels import update_running_mean
from text_uda.objectives.objective import Context, Loss, Needs, RowSelection, agreement, shares
from text_uda.objectives.schedules import ramp_up


def consistency_loss(
    probabilities: Float[Tensor, "U C"],
    augmented_logits: Float[Tensor, "U C"],
    *,
    temperature: float,
    confidence_threshold: float,
) -> tuple[Float[Tensor, ""], Bool[Tensor, " U"]]:
    """Mean over *all* U rows of 1[max p > beta] KL(sharpen(p, T) || softmax(z^)), no gradient into p.

    Xie et al. 2019 (arXiv 1904.12848), Equation 1 and Section 3.2. The mask uses p before sharpening, and the sum is
    divided by U, not by the number of rows that pass. T applies to the original view only.

    Args:
        probabilities: p(y|x) of the original view.
        augmented_logits: z^ of the augmented view.
    Returns:
        the loss; which rows pass.
    """
    probabilities = probabilities.detach()
    confident = are_confident(probabilities, confidence_threshold)
    divergence = kl_divergence(sharpen(probabilities, temperature), augmented_logits)
    return (divergence * confident).mean(), confident


def are_confident(probabilities: Float[Tensor, "U C"], confidence_threshold: float) -> Bool[Tensor, " U"]:
    """1[max p > beta] of each row, before sharpening."""
    return probabilities.amax(dim=-1) > confidence_threshold


@dataclass(frozen=True, kw_only=True)
class UDA:
    """lambda * D_KL( p(y|x) || p(y|x^) ) over the unlabeled pairs, no gradient through the first p.

    Source: Xie et al. 2019, "Unsupervised Data Augmentation for Consistency Training" (arXiv 1904.12848), Equation 1
    (lambda -> weight) and Section 3.2 (beta -> confidence_threshold, tau -> temperature).

    The defaults are the plain loss. The authors' script for IMDb with 20 labels and BERT base has lambda 1, linear
    annealing of 8 labeled rows beside 24 unlabeled rows, 10,000 steps at 2e-5 with a warm-up of 1,000, and neither a
    threshold nor sharpening, which they advise to try with very few labels.

    Two options depart from the paper: a ramp-up of the weight (Laine & Aila 2016) and distribution alignment
    (ReMixMatch), since a model that is uncertain collapses if its targets are sharpened from the first step on.

    The preset `uda`, the default of `train` and the command line, uses both: temperature=0.5,
    confidence_threshold=0.75, ramp_up=0.3, alignment="labels". On models that are uncertain at first, the plain loss
    can have a higher error than training on the labels alone. `UDA()` in Python is the plain loss, and so is
    `--temperature 1 --confidence-threshold 0 --ramp-up 0 --alignment none`.
    """

    weight: float = 1.0
    """lambda, the factor on the consistency loss."""

    temperature: float = 1.0
    """T of the targets: below 1 sharpens them; 0.4 to 0.9 in the paper."""

    confidence_threshold: float = 0.0
    """beta: an unlabeled row counts only if its largest probability is above this."""

    ramp_up: float = 0.0
    """Share of the steps over which the weight grows to its full value; 0 for none."""

    alignment: Prior | None = None
    """Multiply the targets by the expected share of each class (see `Prior`) over its predicted share, so that no class
    absorbs the others: "uniform", "labels" (their marginal), or the share of each class. None is the paper."""

    alignment_momentum: float = 0.99
    """Factor on the previous running mean."""

    needs: ClassVar[Needs] = Needs(views=("second",), targets=True, augmentation=True)

    def __post_init__(self) -> None:
        check_weight(self.weight)
        check_temperature(self.temperature)
        check_threshold(self.confidence_threshold)
        check_share("ramp_up", self.ramp_up)
        if self.alignment is not None:
            check_prior(self.alignment, "alignment")
        check_momentum(self.alignment_momentum, "alignment_momentum")

    def initial_state(self, label_share: Tensor, unlabeled: int) -> dict[str, Tensor]:
        return alignment_state(self.alignment, label_share)

    def choose(self, context: Context, batch: Batch) -> RowSelection:
        assert context.targets is not None
        probabilities = context.targets.softmax(dim=-1)  # (U, C)
        if self.alignment is not None:
            mean = update_running_mean(
                context.state["mean_prediction"], probabilities.mean(dim=0), self.alignment_momentum
            )
            probabilities = align(probabilities, mean, context.state["prior"])
        confident = are_confident(probabilities, self.confidence_threshold)
        return RowSelection(probabilities.detach(), confident, self.confidence_threshold)

    def __call__(self, context: Context, batch: Batch) -> Loss:
        probabilities = (context.selection or self.choose(context, batch)).targets
        augmented_logits = context.views["second"].logits
        loss, confident = consistency_loss(
            probabilities,
            augmented_logits,
            temperature=self.temperature,
            confidence_threshold=self.confidence_threshold,
        )
        weight = self.weight * ramp_up(step=context.step, steps=context.steps, share=self.ramp_up)
        terms: dict[str, Tensor | float] = {
            "uda": loss.detach(),
            "uda_weight": weight,
            "confident": shares(confident),
            "agreement": agreement(probabilities.argmax(dim=-1), augmented_logits, confident),
        }
        return Loss(weight * loss, terms)
