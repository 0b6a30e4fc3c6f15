"""FreeMatch: thresholds that follow the model's own confidence, and predictions that stay spread over the classes."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from text_uda import distributed
from text_uda.batch import Batch
from text_uda.objectives.checks import check_momentum, check_weight
from text_uda.objectives.objective import Chosen, Context, Loss, Needs
from text_uda.objectives.thresholds import histogram, pseudo_label_loss, running, told


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

    tau_t(c) = tau_t p~_t(c) / max p~_t, where tau_t is a running mean of max p and p~_t of p, both from 1/K; L_f is
    `fairness_loss`.

    Source: Wang et al. 2023, "FreeMatch: Self-adaptive Thresholding for Semi-supervised Learning" (arXiv 2205.07246),
    Section 4.1 for the thresholds and Section 4.2 for L_f (w_u -> weight, w_f -> fairness, lambda -> momentum).

    For text: the weak view is the original text, the strong one the augmented. The momentum is 0.99 and not the paper's
    0.999: fine-tuning an encoder takes hundreds of steps where the paper has a million.
    """

    weight: float = 1.0
    """w_u; 0 leaves L_f out too."""

    fairness: float = 0.01
    """w_f."""

    momentum: float = 0.99
    """How much of the running means a step keeps."""

    needs: ClassVar[Needs] = Needs(views=("second",), targets=True, augmentation=True)

    def __post_init__(self) -> None:
        check_weight(self.weight)
        check_weight(self.fairness, "fairness")
        check_momentum(self.momentum)

    def initial_state(self, classes: int, unlabeled: int) -> dict[str, Tensor]:
        uniform = torch.full((classes,), 1 / classes)
        return {
            "threshold": torch.tensor(1 / classes),
            "mean_prediction": uniform,
            "label_share": uniform.clone(),
        }

    def choose(self, context: Context, batch: Batch) -> Chosen:
        assert context.targets is not None
        state = context.state
        probabilities = context.targets.softmax(dim=-1)
        confidence, labels = probabilities.max(dim=-1)  # (U,)
        running(state["threshold"], confidence.mean(), self.momentum)
        running(state["mean_prediction"], probabilities.mean(dim=0), self.momentum)
        running(state["label_share"], histogram(labels, context.classes), self.momentum)
        relative = state["mean_prediction"] / state["mean_prediction"].max()
        counted = confidence >= (state["threshold"] * relative)[labels]
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
