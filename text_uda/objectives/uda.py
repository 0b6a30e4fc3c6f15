"""UDA: the prediction on an augmented text is to agree with the prediction on the original."""

from dataclasses import dataclass
from typing import ClassVar

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
from text_uda.objectives.hard_pseudo_labels import running
from text_uda.objectives.objective import Chosen, Context, Loss, Needs, agreement, shares
from text_uda.objectives.schedules import ramp_up


def consistency_loss(
    probabilities: Tensor, augmented_logits: Tensor, *, temperature: float, confidence_threshold: float
) -> tuple[Tensor, Tensor]:
    """Mean over *all* U rows of 1[max p > beta] KL(sharpen(p, T) || softmax(z^)), no gradient into p.

    Xie et al. 2019 (arXiv 1904.12848), Equation 1 and Section 3.2. The mask looks at p before sharpening, and the sum
    is divided by U, not by the number of rows that pass. T applies to the original view only.

    Args:
        probabilities: p(y|x) of the original view, (U, C).
        augmented_logits: z^ of the augmented view, (U, C).
    Returns:
        the loss, a scalar; which rows pass, (U,) bool.
    """
    probabilities = probabilities.detach()
    confident = are_confident(probabilities, confidence_threshold)
    divergence = kl_divergence(sharpen(probabilities, temperature), augmented_logits)
    return (divergence * confident).mean(), confident


def are_confident(probabilities: Tensor, confidence_threshold: float) -> Tensor:
    """1[max p > beta] of each row, before sharpening. (U, C) -> (U,) bool"""
    return probabilities.amax(dim=-1) > confidence_threshold


@dataclass(frozen=True, kw_only=True)
class UDA:
    """lambda * D_KL( p(y|x) || p(y|x^) ) over the unlabeled pairs, no gradient through the first p.

    Source: Xie et al. 2019, "Unsupervised Data Augmentation for Consistency Training" (arXiv 1904.12848), Equation 1
    (lambda -> weight) and Section 3.2 (beta -> confidence_threshold, tau -> temperature).

    The defaults are the plain loss. The authors' script for IMDb with 20 labels and BERT base has lambda 1, linear
    annealing of 8 labeled rows beside 24 unlabeled ones, 10,000 steps at 2e-5 with a warm-up of 1,000, and neither a
    threshold nor sharpening, which they advise to try where labels are very few.

    Departs from the paper where asked to: a ramp-up of the weight (Laine & Aila 2016) and distribution alignment
    (ReMixMatch), since sharpening the targets of an uncertain model from the first step on makes it collapse.

    The preset `uda`, which `train` and the command line take unless told otherwise, asks for both: temperature=0.5,
    confidence_threshold=0.75, ramp_up=0.3, alignment="labels". On models that are uncertain at first the plain loss can
    end above the labels alone. `UDA()` in Python is the plain loss, and so is
    `--temperature 1 --confidence-threshold 0 --ramp-up 0 --alignment none`.
    """

    weight: float = 1.0
    """lambda, the factor on the consistency loss."""

    temperature: float = 1.0
    """T of the targets: below 1 sharpens them; 0.4 to 0.9 in the paper."""

    confidence_threshold: float = 0.0
    """beta: an unlabeled row counts only while its largest probability is above this."""

    ramp_up: float = 0.0
    """Share of the steps over which the weight grows to its full value; 0 for none."""

    alignment: Prior | None = None
    """Multiply the targets by how often each class is expected (see `Prior`) over how often it is predicted, so that no
    class swallows the others: "uniform", "labels" (their marginal), or the share of each class. None is the paper."""

    alignment_momentum: float = 0.99
    """How much of the running mean a step keeps."""

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

    def choose(self, context: Context, batch: Batch) -> Chosen:
        assert context.targets is not None
        probabilities = context.targets.softmax(dim=-1)  # (U, C)
        if self.alignment is not None:
            mean = running(context.state["mean_prediction"], probabilities.mean(dim=0), self.alignment_momentum)
            probabilities = align(probabilities, mean, context.state["prior"])
        confident = are_confident(probabilities, self.confidence_threshold)
        return Chosen(probabilities.detach(), confident, self.confidence_threshold)

    def __call__(self, context: Context, batch: Batch) -> Loss:
        probabilities = (context.chosen or self.choose(context, batch)).targets
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
