"""FreeMatch: thresholds that follow the model's confidence, and a term that keeps the predicted classes balanced."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from text_uda import distributed
from text_uda.model.inputs import Batch
from text_uda.objectives.checks import check_momentum, check_weight
from text_uda.objectives.class_prior import Prior, check_prior, class_distribution
from text_uda.objectives.hard_pseudo_labels import histogram, pseudo_label_loss, update_running_mean, weighted_loss
from text_uda.objectives.objective import Context, Loss, Needs, RowSelection


def fairness_loss(
    logits: Float[Tensor, "B C"],
    counted: Bool[Tensor, " B"],
    mean_prediction: Float[Tensor, " C"],
    label_share: Float[Tensor, " C"],
) -> Float[Tensor, ""]:
    """- H( SumNorm(p~ / h~), SumNorm(p / h) ), the negative cross entropy; 0 if no row counts.

    Wang et al. 2023 (arXiv 2205.07246), Section 4.2: p is the mean prediction on the strong views of the rows that
    count, and h the share of their predicted classes; p~ and h~ are the running means on the weak views. Classes with a
    share of 0 are omitted, as in the authors' code. The gradient goes through p only.

    Args:
        logits: of the strong view.
        counted: the rows that count.
        mean_prediction: p~.
        label_share: h~.
    """
    if not counted.any():
        return logits.sum() * 0
    probabilities = logits[counted].softmax(dim=-1)
    share = histogram(probabilities.argmax(dim=-1), logits.shape[1])
    expected = _normalised(mean_prediction * _inverse(label_share))
    predicted = _normalised(probabilities.mean(dim=0) * _inverse(share))
    return (expected * torch.log(predicted + 1e-12)).sum()


def _inverse(share: Float[Tensor, " C"]) -> Float[Tensor, " C"]:
    """1 / share, and 0 for a share of 0."""
    return torch.where(share > 0, 1 / share.clamp_min(1e-12), 0.0)


def _normalised(values: Float[Tensor, " C"]) -> Float[Tensor, " C"]:
    return values / values.sum().clamp_min(1e-12)


@dataclass(frozen=True, kw_only=True)
class FreeMatch:
    """mean 1[max p(y|x) >= tau_t(argmax p)] CE( argmax sg p(y|x), p(y|x^) ) * w_u + w_f L_f.

    tau_t(c) = tau_t r_t(c) / max r_t with r_t(c) = p~_t(c) / pi(c). tau_t is the running mean of max p, which starts at
    1/K; p~_t is the running mean of p, which starts at the prior pi; pi is uniform in the paper. L_f is
    `fairness_loss`.

    Source: Wang et al. 2023, "FreeMatch: Self-adaptive Thresholding for Semi-supervised Learning" (arXiv 2205.07246),
    Section 4.1 for the thresholds and Section 4.2 for L_f (w_u -> weight, w_f -> fairness, lambda -> momentum).

    The paper assumes equal classes: a class that is rarely predicted counts as badly learnt, and gets a lower
    threshold. On skewed data, nearly every row that is predicted as a rare class then counts. With a prior, a class
    counts as badly learnt if it is predicted less often than expected. L_f does not assume equal classes: both of its
    means are divided by the share of each predicted class.

    For text: the weak view is the original text, the strong view the augmented text. The momentum is 0.99 and not the
    paper's 0.999: fine-tuning an encoder takes hundreds of steps, and the paper a million.
    """

    weight: float = 1.0
    """w_u; 0 turns L_f off too."""

    fairness: float = 0.01
    """w_f. The field's benchmark (USB) has 0.001 in its configurations for text."""

    prior: Prior = "uniform"
    """pi, the expected share of each class (see `Prior`): "uniform", the paper, "labels", or the share of each class;
    set by `--alignment`."""

    momentum: float = 0.99
    """Factor on the previous running means."""

    needs: ClassVar[Needs] = Needs(views=("second",), targets=True, augmentation=True)

    def __post_init__(self) -> None:
        check_weight(self.weight)
        check_weight(self.fairness, "fairness")
        check_prior(self.prior, "prior")
        check_momentum(self.momentum)

    def initial_state(self, label_share: Tensor, unlabeled: int) -> dict[str, Tensor]:
        prior = class_distribution(self.prior, label_share, "prior")
        return {
            "threshold": torch.tensor(1 / len(label_share)),
            "prior": prior,
            "mean_prediction": prior.clone(),
            "label_share": prior.clone(),
        }

    def choose(self, context: Context, batch: Batch) -> RowSelection:
        assert context.targets is not None
        state = context.state
        probabilities = context.targets.softmax(dim=-1)
        confidence, labels = probabilities.max(dim=-1)  # (U,)
        update_running_mean(state["threshold"], confidence.mean(), self.momentum)
        update_running_mean(state["mean_prediction"], probabilities.mean(dim=0), self.momentum)
        update_running_mean(state["label_share"], histogram(labels, context.classes), self.momentum)
        learnt = state["mean_prediction"] / state["prior"]
        counted = confidence >= (state["threshold"] * (learnt / learnt.max()))[labels]
        return RowSelection(labels, counted, state["threshold"].clone())

    def __call__(self, context: Context, batch: Batch) -> Loss:
        labels, counted, threshold = context.selection or self.choose(context, batch)
        state, logits = context.state, context.views["second"].logits
        fairness = fairness_loss(
            distributed.gathered(logits),
            distributed.gathered(counted),
            state["mean_prediction"].to(logits.dtype),
            state["label_share"].to(logits.dtype),
        )
        loss = weighted_loss(
            "freematch", pseudo_label_loss(logits, labels, counted), self.weight, labels, logits, counted
        )
        terms = loss.terms | {"fairness": fairness.detach(), "threshold": threshold}
        return Loss(loss.total + self.fairness * fairness, terms)
