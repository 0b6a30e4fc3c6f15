"""VAT: a prediction should withstand the small step in the embeddings that would change it most."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from text_uda.errors import SettingsError
from text_uda.model import keyed_tensors
from text_uda.model.inputs import Batch, Embedded, Features
from text_uda.objectives.checks import check_positive, check_share, check_weight
from text_uda.objectives.functional import kl_divergence
from text_uda.objectives.objective import Context, Loss, Needs, shares
from text_uda.objectives.schedules import ramp_up

# The features of a frozen encoder represent a whole text, and the norm of all embeddings of a text exceeds the norm of
# one by the root of their number. Tuned on the development split of `wordnet-14` (two seeds): errors of 36.9, 36.5 and
# 38.2% for steps of 0.03, 0.1 and 0.3 of the norm of the features, 39.7% without VAT; at 0.3 the run collapses later.
_TOKENS_OF_FEATURES = 100


def unit(values: Float[Tensor, " U *axes"]) -> Float[Tensor, " U *axes"]:
    """Divide each row by its norm over all other axes; a row of zeros is unchanged."""
    smallest = torch.finfo(values.dtype).tiny
    rows = values.flatten(1)
    rows = rows / rows.abs().amax(dim=1, keepdim=True).clamp_min(smallest)  # the square of a gradient may underflow
    return (rows / rows.norm(dim=1, keepdim=True).clamp_min(smallest)).view_as(values)


def adversarial_direction(
    divergence: Callable[[Tensor], Tensor],
    start: Float[Tensor, " U *axes"],
    *,
    step: Float[Tensor, "*ones"],
    power_iterations: int,
) -> Float[Tensor, " U *axes"]:
    """The direction in which the divergence grows fastest, of norm 1 for each row; zero if it does not grow.

    Miyato et al. 2018 (arXiv 1704.03976), Algorithm 1: the power method on the Hessian of the divergence, whose product
    with d is the gradient at xi d, divided by xi.

    Args:
        divergence: between the predictions without and with r, as a function of r, (U, ...) -> (U,).
        start: d, random.
        step: xi of each row, broadcast over `start`.
    Returns:
        g / |g|, without gradient.
    """
    direction = unit(start)
    for _ in range(power_iterations):
        moved = (step * direction).requires_grad_()
        (gradient,) = torch.autograd.grad(divergence(moved).sum(), moved)
        direction = unit(gradient)
    return direction


def token_norm(inputs: Embedded | Features) -> Float[Tensor, " U"]:
    """The root mean square of the norms of a row's embeddings, without gradient; features count as a hundred tokens."""
    values = inputs.values.detach()
    if isinstance(inputs, Features):
        return values.norm(dim=-1) / _TOKENS_OF_FEATURES**0.5
    squares = values.square().sum(dim=-1) * inputs.attention_mask  # (U, T)
    return (squares.sum(dim=-1) / inputs.attention_mask.sum(dim=-1).clamp_min(1)).sqrt()


@dataclass(frozen=True, kw_only=True)
class VAT:
    """w(t) * mean KL( sg p(y|e) || p(y|e + r) ) over the unlabeled rows, where r = eps s g/|g| and g is the gradient of
    KL( sg p(y|e) || p(y|e + d) ) by d, at xi s d/|d| with a random d ~ N(0, I).

    Source: Miyato et al. 2018, "Virtual Adversarial Training" (arXiv 1704.03976), Section 3, Algorithm 1;
    for text Miyato et al. 2017, "Adversarial Training Methods for Semi-Supervised Text Classification" (arXiv
    1605.07725), Section 3 (eps -> epsilon, xi -> xi, K -> power_iterations). e are the word embeddings of the original
    text, or the features of a frozen encoder; d and r run over all tokens and the width of a row, and are zero at
    padding. The gradient goes through p(y|e + r) only; there it reaches e too, where the embeddings are trained, as in
    the authors' code. r is a constant.

    All passes run without dropout. With it, the dropout masks would change p(e + xi d) far more than xi d does, and g
    would follow the masks.

    Departs from the paper by s, the unit of eps and xi: the norm of a typical token of the row (for features a tenth of
    their norm, as for a text of a hundred tokens). Miyato et al. normalise the embeddings, so that the norm is the same
    for all words, and so that the embeddings cannot grow until r is negligible. The embeddings of a pretrained encoder
    have to stay as they are, so s grows with them. As in the paper, eps does not grow with the length of a text. Unlike
    in the authors' code, which excludes the last token, r can move every token.
    """

    weight: float = 1.0
    """Largest w(t); 1 in the paper."""

    epsilon: float = 1.0
    """eps: the size of the step, where 1 is the norm of one token of the text. The 5 of the text paper's code is 0.31
    in this unit, which hardly changes the predictions of a pretrained encoder."""

    xi: float = 0.01
    """Distance from e at which the gradient is computed, in the same unit. The gradient there is of the order of xi, so
    a small xi is lost in the rounding of float32. Measured once, with the packaged encoder on five texts: the least
    cosine between the direction and that of float64 is 0.9999 at 0.01, 0.995 at 0.1, 0.93 at 1e-4, and below zero at
    1e-5 and 1e-6, the value of the image paper (tests/objectives/test_vat.py holds this for a tiny encoder)."""

    power_iterations: int = 1
    """K; one forward and one backward pass each."""

    ramp_up: float = 0.0
    """Share of the steps over which the weight grows to its full value; 0 for none, as in the paper."""

    needs: ClassVar[Needs] = Needs(rows=("original",), embeddings=True)

    def __post_init__(self) -> None:
        check_weight(self.weight)
        check_positive("epsilon", self.epsilon)
        check_positive("xi", self.xi)
        if self.power_iterations < 1:
            raise SettingsError(f"power_iterations={self.power_iterations}: give 1 or more")
        check_share("ramp_up", self.ramp_up)

    def __call__(self, context: Context, batch: Batch) -> Loss:
        assert batch.original is not None, "the trainer supplies unlabeled rows to objectives that need them"
        student = context.student
        with student.without_dropout():
            inputs = student.embed(batch.original)
            with torch.autocast(inputs.values.device.type, enabled=False):  # differences of nearly equal numbers
                target, perturbation = self._target_and_perturbation(context, inputs)
            logits = student(replace(inputs, values=inputs.values + perturbation)).logits
        loss = kl_divergence(target, logits).mean()
        weight = self.weight * ramp_up(step=context.step, steps=context.steps, share=self.ramp_up)
        flipped = shares(logits.argmax(dim=-1) != target.argmax(dim=-1))
        return Loss(weight * loss, {"vat": loss.detach(), "vat_weight": weight, "vat_flipped": flipped})

    def _target_and_perturbation(self, context: Context, inputs: Embedded | Features) -> tuple[Tensor, Tensor]:
        """p(e), (U, C), and r, of the shape of e; both without gradient."""
        values = inputs.values.detach()
        is_token = inputs.attention_mask[..., None] if isinstance(inputs, Embedded) else 1  # (U, T, 1)
        norm = token_norm(inputs).view(-1, *(1 for _ in values.shape[1:]))
        with torch.no_grad():
            target = context.student(replace(inputs, values=values)).logits.softmax(dim=-1)

        def divergence(moved: Tensor) -> Tensor:
            return kl_divergence(target, context.student(replace(inputs, values=values + moved * is_token)).logits)

        keys = keyed_tensors.row_keys(context.key, len(values), device=values.device)
        direction = adversarial_direction(
            divergence,
            keyed_tensors.normal(keys, *values.shape[1:]).to(values.dtype) * is_token,
            step=self.xi * norm,
            power_iterations=self.power_iterations,
        )
        return target, self.epsilon * norm * direction
