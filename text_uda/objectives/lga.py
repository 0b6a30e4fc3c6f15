"""LGA: labels are imputed to unlabeled rows so that these pull the weights where the labeled rows pull them."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import one_hot, pad

from text_uda import distributed
from text_uda.model.inputs import Batch
from text_uda.objectives.checks import check_positive, check_share, check_weight
from text_uda.objectives.functional import soft_cross_entropy
from text_uda.objectives.objective import Context, Loss, Needs, shares
from text_uda.objectives.schedules import ramp_up


def project_to_simplex(values: Tensor) -> Tensor:
    """The nearest point of the probability simplex, of each row. (B, C) -> (B, C)

    Duchi et al. 2008, "Efficient Projections onto the l1-Ball for Learning in High Dimensions", Figure 1 with z = 1.
    """
    ordered = values.sort(dim=-1, descending=True).values
    excess = ordered.cumsum(dim=-1) - 1
    counts = torch.arange(1, values.shape[-1] + 1, device=values.device)
    kept = (ordered - excess / counts > 0).sum(dim=-1, keepdim=True).clamp_min(1)  # rho; 0 where one is not a number
    threshold = excess.gather(-1, kept - 1) / kept
    return (values - threshold).clamp_min(0)


def last_layer_gradient(logits: Tensor, hidden: Tensor, labels: Tensor) -> Tensor:
    """The gradient of the mean cross entropy by the last linear layer, weights and bias: mean (p - y) (h, 1)^T.

    Args:
        logits: (B, C).
        hidden: (B, H).
        labels: soft, (B, C).
    Returns:
        (C, H + 1).
    """
    errors = logits.softmax(dim=-1) - labels
    return errors.T @ pad(hidden, (0, 1), value=1.0) / len(errors)


def aligned_labels(labels: Tensor, hidden: Tensor, difference: Tensor, *, step_size: float) -> Tensor:
    """y^ <- projection onto the simplex of (y^ - a dD/dy^), where D = |g_L - g_U(y^)|^2.

    With g_U = mean (p - y^) (h, 1)^T the derivative by the label of row u is (2 / U) (g_L - g_U) (h_u, 1); it is taken
    times U / (2 mean |(h, 1)|^2), so that a step means the same for any batch and any scale of h.

    Args:
        labels: y^, (U, C).
        hidden: (U, H).
        difference: g_L - g_U, (C, H + 1).
    """
    pad_to_width = pad(hidden, (0, 1), value=1.0)
    scale = distributed.mean(pad_to_width.square().sum(dim=-1).mean())
    return project_to_simplex(labels - step_size * (pad_to_width @ difference.T) / scale)


def same_in_copies(labels: Tensor, rows: Tensor) -> Tensor:
    """The mean over the copies of a row, which may be in a batch more than once. (B, C), (B,) -> (B, C)"""
    copies = (rows[:, None] == rows).to(labels.dtype)  # (B, B)
    return copies @ labels / copies.sum(dim=-1, keepdim=True)


@dataclass(frozen=True, kw_only=True)
class LGA:
    """w(t) * mean CE( sg y^, p(y|x) ) over the unlabeled rows, with imputed labels y^ that are trained along.

    y^ <- projection onto the simplex of (y^ - a dD/dy^), D = |g_L - g_U(y^)|^2, where g_L and g_U are the gradients of
    the two losses by the weights. "LGA + VAT" is `(Supervised(), LGA(), VAT())`.

    Source: Jackson & Schulman 2019, "Semi-Supervised Learning by Label Gradient Alignment" (arXiv 1902.02336). Only the
    abstract was read: the objective is theirs, the step below is **our derivation** (a -> step_size).

    The gradients are those of the last linear layer, g = mean (p - y) (h, 1)^T, whose derivative by y^ is in closed
    form: no second backward pass through the network. A row's y^ begins as the first prediction that is made of it, so
    that it asks for nothing yet, and takes a step whenever the row is in a batch: the mean of its steps, where the row
    is in it twice. Those of all rows are kept.
    """

    weight: float = 1.0
    """Largest w(t)."""

    step_size: float = 1.0
    """a, of the step of the labels."""

    ramp_up: float = 0.4
    """Share of the steps over which the weight grows to its full value; 0 for none."""

    needs: ClassVar[Needs] = Needs(views=("labeled", "original"), hidden=True)

    def __post_init__(self) -> None:
        check_weight(self.weight)
        check_positive("step_size", self.step_size)
        check_share("ramp_up", self.ramp_up)

    def initial_state(self, label_share: Tensor, unlabeled: int) -> dict[str, Tensor]:
        return {"labels": torch.zeros(unlabeled, len(label_share))}  # all zeros: never seen

    def __call__(self, context: Context, batch: Batch) -> Loss:
        assert batch.unlabeled_rows is not None
        labeled, original = context.views["labeled"], context.views["original"]
        logits, hidden = original.logits.detach(), original.hidden.detach()
        kept, rows = context.state["labels"], batch.unlabeled_rows
        imputed = kept[rows].to(logits.dtype)
        unseen = imputed.sum(dim=-1, keepdim=True) == 0
        imputed = torch.where(unseen, logits.softmax(dim=-1), imputed)
        known = one_hot(batch.labels, context.classes).to(logits.dtype)
        with torch.autocast(logits.device.type, enabled=False):  # differences of nearly equal numbers
            of_labeled = last_layer_gradient(labeled.logits.detach(), labeled.hidden.detach(), known)
            difference = distributed.mean(of_labeled - last_layer_gradient(logits, hidden, imputed))
            imputed = aligned_labels(imputed, hidden, difference, step_size=self.step_size)
            everywhere = distributed.gathered(rows)
            kept[everywhere] = same_in_copies(distributed.gathered(imputed), everywhere).to(kept.dtype)
        imputed = kept[rows].to(logits.dtype)
        loss = soft_cross_entropy(imputed, original.logits).mean()
        weight = self.weight * ramp_up(step=context.step, steps=context.steps, share=self.ramp_up)
        terms: dict[str, Tensor | float] = {
            "lga": loss.detach(),
            "lga_weight": weight,
            "gradient_distance": difference.square().sum(),
            "imputed_as_predicted": shares(imputed.argmax(dim=-1) == logits.argmax(dim=-1)),
        }
        return Loss(weight * loss, terms)
