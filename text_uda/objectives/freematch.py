"""FreeMatch: thresholds that follow the model's own confidence, and predictions that stay spread over the classes."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from text_uda import distributed
from text_uda.model.inputs import Batch
from text_uda.objectives.checks import check_momentum, check_weight
from text_uda.objectives.class_prior import Prior, check_prior, distribution
from text_uda.objectives.hard_pseudo_labels import histogram, pseudo_label_loss, running, told
from text_uda.objectives.objective import Chosen, Context, Loss, Needs


def fairness_loss(logits: Tensor, counted: Tensor, mean_prediction: Tensor, label_share: Tensor) -> Tensor:
    """- H( SumNorm(p~ / h~), SumNorm(p / h) ), the negative cross entropy; 0 where no row counts.

    Wang et al. 2023 (arXiv 2205.07246), Section 4.2: p is the mean prediction of the strong views that count
    and h the share of their classes; p~ and h~ are the running ones of the weak views. A class that has no share is
    left out, as in the authors' code. The gradient goes through p only.

    Args:
        logits: of the strong view, (B, C).
        counted: (B,) bool.
        mean_prediction: p~, (C,).
        label_share: h~, (C,).
    """
    if not counted.any():
        return logits.sum() * 0
    probabilities = logits[counted].softmax(dim=-1)
    share = histogram(probabilities.argmax(dim=-1), logits.shape[1])
    expected = _normalised(mean_prediction * _inverse(label_share))
    found = _normalised(probabilities.mean(dim=0) * _inverse(share))
    return (expected * torch.log(found + 1e-12)).sum()


def _inverse(share: Tensor) -> Tensor:
    return torch.where(share > 0, 1 / share.clamp_min(1e-12), 0.0)


def _normalised(values: Tensor) -> Tensor:
    return values / values.sum().clamp_min(1e-12)


@dataclass(frozen=True, kw_only=True)
class FreeMatch:
    """mean 1[max p(y|x) >= tau_t(argmax p)] CE( argmax sg p(y|x), p(y|x^) ) * w_u + w_f L_f.

    tau_t(c) = tau_t r_t(c) / max r_t with r_t(c) = p~_t(c) / pi(c), where tau_t is a running mean of max p, from 1/K,
    p~_t of p, from the prior pi, and pi is uniform in the paper; L_f is `fairness_loss`.

    Source: Wang et al. 2023, "FreeMatch: Self-adaptive Thresholding for Semi-supervised Learning" (arXiv 2205.07246),
    Section 4.1 for the thresholds and Section 4.2 for L_f (w_u -> weight, w_f -> fairness, lambda -> momentum).

    The paper takes a class that is predicted seldom for one that is learnt badly, and lowers its threshold. That
    assumes equal classes: on skewed data nearly every row that is predicted as a rare class counts. With a prior a
    class is learnt badly where it is predicted less than expected. L_f assumes nothing of the kind: both of its means
    are divided by how often each class is predicted.

    For text: the weak view is the original text, the strong one the augmented. The momentum is 0.99 and not the paper's
    0.999: fine-tuning an encoder takes hundreds of steps where the paper has a million.
    """

    weight: float = 1.0
    """w_u; 0 leaves L_f out too."""

    fairness: float = 0.01
    """w_f. The field's benchmark (USB) has 0.001 in its configurations for text."""

    prior: Prior = "uniform"
    """pi, how often each class is expected (see `Prior`): "uniform", the paper, "labels", or the share of each class;
    `--alignment` sets it."""

    momentum: float = 0.99
    """How much of the running means a step keeps."""

    needs: ClassVar[Needs] = Needs(views=("second",), targets=True, augmentation=True)

    def __post_init__(self) -> None:
        check_weight(self.weight)
        check_weight(self.fairness, "fairness")
        check_prior(self.prior, "prior")
        check_momentum(self.momentum)

    def initial_state(self, label_share: Tensor, unlabeled: int) -> dict[str, Tensor]:
        prior = distribution(self.prior, label_share, "prior")
        return {
            "threshold": torch.tensor(1 / len(label_share)),
            "prior": prior,
            "mean_prediction": prior.clone(),
            "label_share": prior.clone(),
        }

    def choose(self, context: Context, batch: Batch) -> Chosen:
        assert context.targets is not None
        state = context.state
        probabilities = context.targets.softmax(dim=-1)
        confidence, labels = probabilities.max(dim=-1)  # (U,)
        running(state["threshold"], confidence.mean(), self.momentum)
        running(state["mean_prediction"], probabilities.mean(dim=0), self.momentum)
        running(state["label_share"], histogram(labels, context.classes), self.momentum)
        learnt = state["mean_prediction"] / state["prior"]
        counted = confidence >= (state["threshold"] * (learnt / learnt.max()))[labels]
        return Chosen(labels, counted, state["threshold"].clone())

    def __call__(self, context: Context, batch: Batch) -> Loss:
        labels, counted, threshold = context.chosen or self.choose(context, batch)
        state, logits = context.state, context.views["second"].logits
        fairness = fairness_loss(
            distributed.gathered(logits),
            distributed.gathered(counted),
            state["mean_prediction"].to(logits.dtype),
            state["label_share"].to(logits.dtype),
        )
        loss = told("freematch", pseudo_label_loss(logits, labels, counted), self.weight, labels, logits, counted)
        terms = loss.terms | {"fairness": fairness.detach(), "threshold": threshold}
        return Loss(loss.total + self.fairness * fairness, terms)
