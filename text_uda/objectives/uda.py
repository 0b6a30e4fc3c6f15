"""UDA: the prediction on an augmented text is to agree with the prediction on the original."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from text_uda.batch import Batch
from text_uda.errors import SettingsError
from text_uda.functional import align, entropy, kl_divergence, sharpen
from text_uda.objectives.objective import Context, Loss
from text_uda.schedules import ramp_up


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
    confident = probabilities.amax(dim=-1) > confidence_threshold
    divergence = kl_divergence(sharpen(probabilities, temperature), augmented_logits)
    return (divergence * confident).mean(), confident


@dataclass(frozen=True, kw_only=True)
class UDA:
    """lambda * D_KL( p(y|x) || p(y|x^) ) over the unlabeled pairs, no gradient through the first p.

    Source: Xie et al. 2019, "Unsupervised Data Augmentation for Consistency Training" (arXiv 1904.12848), Equation 1
    (lambda -> weight) and Section 3.2 (beta -> confidence_threshold, tau -> temperature).

    Departs from the paper where asked to: a ramp-up of the weight (Laine & Aila 2016) and distribution alignment
    (ReMixMatch), since sharpening the targets of an uncertain model from the first step on makes it collapse.
    """

    weight: float = 1.0
    """lambda, the factor on the consistency loss."""

    temperature: float = 1.0
    """T of the targets: below 1 sharpens them; 0.4 to 0.9 in the paper."""

    confidence_threshold: float = 0.0
    """beta: an unlabeled row counts only while its largest probability is above this."""

    ramp_up: float = 0.0
    """Share of the steps over which the weight grows to its full value; 0 for none."""

    distribution_alignment: bool = False
    """Divide the targets by their running mean, so that no class swallows the others."""

    alignment_momentum: float = 0.99
    """How much of the running mean a step keeps."""

    needs_pairs: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.weight < 0:
            raise SettingsError(f"weight={self.weight}: give 0 or more")
        if not 0 < self.temperature <= 10:
            raise SettingsError(f"temperature={self.temperature}: give a number above 0, at most 10")
        if not 0 <= self.confidence_threshold < 1:
            raise SettingsError(f"confidence_threshold={self.confidence_threshold}: give a number in [0, 1)")
        if not 0 <= self.ramp_up <= 1:
            raise SettingsError(f"ramp_up={self.ramp_up}: give a share of the steps in [0, 1]")
        if not 0 <= self.alignment_momentum < 1:
            raise SettingsError(f"alignment_momentum={self.alignment_momentum}: give a number in [0, 1)")

    def initial_state(self, classes: int) -> dict[str, Tensor]:
        return {"mean_prediction": torch.full((classes,), 1 / classes)} if self.distribution_alignment else {}

    def __call__(self, context: Context, batch: Batch) -> Loss:
        assert context.original_logits is not None and context.augmented_logits is not None
        probabilities = context.original_logits.detach().softmax(dim=-1)  # (U, C)
        if self.distribution_alignment:
            mean = context.state["mean_prediction"]
            mean.lerp_(probabilities.mean(dim=0), 1 - self.alignment_momentum)
            probabilities = align(probabilities, mean)
        loss, confident = consistency_loss(
            probabilities,
            context.augmented_logits,
            temperature=self.temperature,
            confidence_threshold=self.confidence_threshold,
        )
        agreement = probabilities.argmax(dim=-1) == context.augmented_logits.argmax(dim=-1)
        weight = self.weight * ramp_up(step=context.step, steps=context.steps, share=self.ramp_up)
        terms: dict[str, Tensor | float] = {
            "uda": loss.detach(),
            "uda_weight": weight,
            "confident": confident.float().mean(),
            "agreement": agreement.float().mean(),
            "entropy": entropy(probabilities).mean(),
        }
        return Loss(weight * loss, terms)
