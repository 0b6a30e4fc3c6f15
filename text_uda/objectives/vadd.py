"""VAdD: a prediction should withstand the flip of the few dropout units that would change it most."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from text_uda.errors import SettingsError
from text_uda.model import keyed_tensors
from text_uda.model.inputs import Batch
from text_uda.objectives.checks import check_share, check_weight
from text_uda.objectives.entmin import conditional_entropy
from text_uda.objectives.functional import kl_divergence
from text_uda.objectives.objective import Context, Loss, Needs
from text_uda.objectives.schedules import ramp_up


def adversarial_mask(mask: Bool[Tensor, "U H"], jacobian: Float[Tensor, "U H"], *, flips: int) -> Bool[Tensor, "U H"]:
    """Flip at most `flips` units of each row: those with the largest |J| whose flip raises sum m_i J_i.

    Park et al. 2018 (arXiv 1707.03631), Algorithm 1.

    Args:
        mask: eps^s, True for units to keep.
        jacobian: J.
    Returns:
        eps^adv.
    """
    gains = torch.where(mask, -jacobian, jacobian)
    largest, units = gains.topk(min(flips, gains.shape[1]), dim=-1)  # (U, flips)
    return mask ^ torch.zeros_like(mask).scatter(-1, units, largest > 0)


def rescaled(mask: Bool[Tensor, "U H"], dtype: torch.dtype) -> Float[Tensor, "U H"]:
    """H / (number of kept units) for kept units, else 0, as in the authors' code."""
    number_kept = mask.sum(dim=-1, keepdim=True).clamp_min(1)
    return mask.to(dtype) * (mask.shape[1] / number_kept)


def dropout_divergence(
    hidden: Float[Tensor, "U H"], mask: Bool[Tensor, "U H"], last_layer: Callable[[Tensor], Tensor], *, flips: int
) -> tuple[Float[Tensor, ""], Bool[Tensor, "U H"]]:
    """Mean over rows of KL(sg p(h * eps^s) || p(h * eps^adv)).

    Park et al. 2018 (arXiv 1707.03631), the virtual form of adversarial dropout. J is computed without dropout, as in
    the paper: at eps^s itself the divergence has its minimum and J is zero.

    Args:
        hidden: h.
        mask: eps^s.
        last_layer: hidden -> logits, (U, H) -> (U, C).
    Returns:
        the loss; eps^adv.
    """
    with torch.no_grad():
        target = last_layer(hidden * rescaled(mask, hidden.dtype)).softmax(dim=-1)
    ones = torch.ones_like(hidden).requires_grad_()
    divergence = kl_divergence(target, last_layer(hidden.detach() * ones)).sum()
    (jacobian,) = torch.autograd.grad(divergence, ones)
    adversarial = adversarial_mask(mask, jacobian, flips=flips)
    return kl_divergence(target, last_layer(hidden * rescaled(adversarial, hidden.dtype))).mean(), adversarial


@dataclass(frozen=True, kw_only=True)
class VAdD:
    """mean [ w(t) KL( sg p(y|h * eps^s) || p(y|h * eps^adv) ) + e H( p(y|h * eps^s) ) ] over the unlabeled rows.

    Source: Park et al. 2018, "Adversarial Dropout for Supervised and Semi-Supervised Learning" (arXiv 1707.03631): the
    virtual form with the Kullback-Leibler divergence, "VAdD (KL)", and Algorithm 1 (delta -> delta; eps^s keeps each
    unit with the probability `keep`; H units; lambda -> weight times the ramp-up). At most floor(delta H) units are
    flipped, and kept units are scaled by H over their number. The entropy is not in the paper: the authors' code adds
    it with weight 1 from the first step on, for either divergence (e -> entropy_weight).

    For text: h is the input of the last linear layer for the original view, after its ordinary dropout; eps^s is
    applied in addition. Only the last layer is run again. Departs from the authors' code, which compares two passes
    with two augmentations, flips units of the full mask, so that it only drops units, and has the gradient through both
    predictions.
    """

    weight: float = 1.0
    """Largest w(t); 1 in the authors' settings."""

    delta: float = 0.05
    """Largest share of flipped units; below 1 / H, none is flipped."""

    entropy_weight: float = 1.0
    """e, without a ramp-up; 0 is the paper."""

    keep: float = 0.9
    """Probability that eps^s keeps a unit, as in the usual fine-tuning of encoders; 0.5 in the paper's networks."""

    ramp_up: float = 0.25
    """Share of the steps over which the weight grows to its full value; 80 of 300 epochs in the authors' code."""

    needs: ClassVar[Needs] = Needs(views=("original",), hidden=True)

    def __post_init__(self) -> None:
        check_weight(self.weight)
        check_weight(self.entropy_weight, "entropy_weight")
        check_share("delta", self.delta)
        if not 0 < self.keep <= 1:
            raise SettingsError(f"keep={self.keep}: give a probability above 0, at most 1")
        check_share("ramp_up", self.ramp_up)

    def __call__(self, context: Context, batch: Batch) -> Loss:
        hidden = context.views["original"].hidden  # (U, H)
        keys = keyed_tensors.row_keys(context.key, len(hidden), device=hidden.device)
        mask = keyed_tensors.uniform(keys, hidden.shape[1]) < self.keep
        flips = math.floor(self.delta * hidden.shape[1])
        with torch.autocast(hidden.device.type, enabled=False):  # one small layer, and J is a difference
            loss, adversarial = dropout_divergence(hidden, mask, context.student.last_layer, flips=flips)
            entropy = conditional_entropy(context.student.last_layer(hidden * rescaled(mask, hidden.dtype)))
        weight = self.weight * ramp_up(step=context.step, steps=context.steps, share=self.ramp_up)
        flipped = (adversarial ^ mask).sum(dim=-1).float().mean()
        terms: dict[str, Tensor | float] = {
            "vadd": loss.detach(),
            "vadd_weight": weight,
            "vadd_flipped": flipped,
            "vadd_entropy": entropy.detach(),
        }
        return Loss(weight * loss + self.entropy_weight * entropy, terms)
