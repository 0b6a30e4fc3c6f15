"""LGA: imputes labels of unlabeled rows whose gradient aligns with the gradient of the labeled rows."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import one_hot, pad

from text_uda import distributed
from text_uda.model.inputs import Batch
from text_uda.objectives.checks import check_positive, check_share, check_weight
from text_uda.objectives.functional import soft_cross_entropy
from text_uda.objectives.objective import Context, Loss, Needs, shares
from text_uda.objectives.schedules import ramp_up


def project_to_simplex(values: Float[Tensor, "B C"]) -> Float[Tensor, "B C"]:
    """The nearest point of the probability simplex, for each row.

    Duchi et al. 2008, "Efficient Projections onto the l1-Ball for Learning in High Dimensions", Figure 1 with z = 1.
    """
    ordered = values.sort(dim=-1, descending=True).values
    excess = ordered.cumsum(dim=-1) - 1
    counts = torch.arange(1, values.shape[-1] + 1, device=values.device)
    positive = (ordered - excess / counts > 0).sum(dim=-1, keepdim=True).clamp_min(1)  # rho; 0 in a row with a NaN
    threshold = excess.gather(-1, positive - 1) / positive
    return (values - threshold).clamp_min(0)


def last_layer_gradient(
    logits: Float[Tensor, "B C"], hidden: Float[Tensor, "B H"], labels: Float[Tensor, "B C"]
) -> Float[Tensor, "C H+1"]:
    """The gradient of the mean cross entropy with respect to the last linear layer: mean (p - y) (h, 1)^T.

    Args:
        labels: soft.
    Returns:
        the gradient of weights and bias.
    """
    errors = logits.softmax(dim=-1) - labels
    return errors.T @ pad(hidden, (0, 1), value=1.0) / len(errors)


def aligned_labels(
    labels: Float[Tensor, "U C"], hidden: Float[Tensor, "U H"], difference: Float[Tensor, "C H+1"], *, step_size: float
) -> Float[Tensor, "U C"]:
    """y^ <- projection onto the simplex of (y^ - a dD/dy^), where D = |g_L - g_U(y^)|^2.

    With g_U = mean (p - y^) (h, 1)^T the derivative by the label of row u is (2 / U) (g_L - g_U) (h_u, 1). It is scaled
    by U / (2 mean |(h, 1)|^2), so that a step has the same size for any batch and any scale of h.

    Args:
        labels: y^.
        difference: g_L - g_U.
    """
    widened = pad(hidden, (0, 1), value=1.0)
    scale = distributed.mean(widened.square().sum(dim=-1).mean())
    return project_to_simplex(labels - step_size * (widened @ difference.T) / scale)


def mean_over_copies(labels: Float[Tensor, "B C"], rows: Int[Tensor, " B"]) -> Float[Tensor, "B C"]:
    """The mean label of each row, since a batch can hold a row more than once."""
    copies = (rows[:, None] == rows).to(labels.dtype)  # (B, B)
    return copies @ labels / copies.sum(dim=-1, keepdim=True)


@dataclass(frozen=True, kw_only=True)
class LGA:
    """w(t) * mean CE( sg y^, p(y|x) ) over the unlabeled rows, with imputed labels y^ that are trained as well.

    y^ <- projection onto the simplex of (y^ - a dD/dy^), D = |g_L - g_U(y^)|^2, where g_L and g_U are the gradients of
    the two losses with respect to the weights. "LGA + VAT" is `(Supervised(), LGA(), VAT())`.

    Source: Jackson & Schulman 2019, "Semi-Supervised Learning by Label Gradient Alignment" (arXiv 1902.02336). Only the
    abstract was read: the objective is theirs, the step below is **our derivation** (a -> step_size).

    The gradients are of the last linear layer, g = mean (p - y) (h, 1)^T, whose derivative by y^ has a closed form: no
    second backward pass through the network. The y^ of a row starts as the first prediction on it, where its loss has
    no gradient, and takes a step whenever the row is in a batch (the mean of the steps, if the row is in it twice). The
    y^ of all rows are stored.
    """

    weight: float = 1.0
    """Largest w(t)."""

    step_size: float = 1.0
    """a, the step size of the labels."""

    ramp_up: float = 0.4
    """Share of the steps over which the weight grows to its full value; 0 for none."""

    needs: ClassVar[Needs] = Needs(views=("labeled", "original"), hidden=True)

    def __post_init__(self) -> None:
        check_weight(self.weight)
        check_positive("step_size", self.step_size)
        check_share("ramp_up", self.ramp_up)

    def initial_state(self, label_share: Tensor, unlabeled: int) -> dict[str, Tensor]:
        return {"labels": torch.zeros(unlabeled, len(label_share))}  # a row of zeros has no label yet

    def __call__(self, context: Context, batch: Batch) -> Loss:
        assert batch.unlabeled_rows is not None
        labeled, original = context.views["labeled"], context.views["original"]
        logits, hidden = original.logits.detach(), original.hidden.detach()
        stored, rows = context.state["labels"], batch.unlabeled_rows
        imputed = stored[rows].to(logits.dtype)
        unseen = imputed.sum(dim=-1, keepdim=True) == 0
        imputed = torch.where(unseen, logits.softmax(dim=-1), imputed)
        labels = one_hot(batch.labels, context.classes).to(logits.dtype)
        with torch.autocast(logits.device.type, enabled=False):  # differences of nearly equal numbers
            of_labeled = last_layer_gradient(labeled.logits.detach(), labeled.hidden.detach(), labels)
            difference = distributed.mean(of_labeled - last_layer_gradient(logits, hidden, imputed))
            imputed = aligned_labels(imputed, hidden, difference, step_size=self.step_size)
            all_rows = distributed.gathered(rows)
            stored[all_rows] = mean_over_copies(distributed.gathered(imputed), all_rows).to(stored.dtype)
        imputed = stored[rows].to(logits.dtype)
        loss = soft_cross_entropy(imputed, original.logits).mean()
        weight = self.weight * ramp_up(step=context.step, steps=context.steps, share=self.ramp_up)
        terms: dict[str, Tensor | float] = {
            "lga": loss.detach(),
            "lga_weight": weight,
            "gradient_distance": difference.square().sum(),
            "imputed_as_predicted": shares(imputed.argmax(dim=-1) == logits.argmax(dim=-1)),
        }
        return Loss(weight * loss, terms)
