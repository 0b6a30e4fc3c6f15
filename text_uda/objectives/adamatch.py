"""AdaMatch: a threshold relative to the confidence on labeled texts, and targets aligned to their predictions."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from text_uda import distributed
from text_uda.model.inputs import Batch
from text_uda.objectives.checks import check_momentum, check_threshold, check_weight
from text_uda.objectives.class_prior import Prior, alignment_state, check_prior
from text_uda.objectives.functional import align, soft_cross_entropy
from text_uda.objectives.hard_pseudo_labels import update_running_mean, weighted_loss
from text_uda.objectives.objective import Context, Loss, Needs, RowSelection


@dataclass(frozen=True, kw_only=True)
class AdaMatch:
    """lambda mu(t) * mean 1[max p~(y|x) >= c_tau] CE( sg p~(y|x), p(y|x^) ) over all unlabeled rows.

    p~ is p, aligned to the predictions on labeled rows or to a prior; c_tau is tau times the mean of max p(y|x) over
    the labeled rows of the step; mu(t) = 1/2 - cos(min(pi, 2 pi t / T)) / 2.

    Source: Berthelot et al. 2022, "AdaMatch: A Unified Approach to Semi-Supervised Learning and Domain Adaptation"
    (arXiv 2106.04732), Section 3 (tau -> relative_threshold, mu -> the ramp, which `weight` multiplies).

    For text: the weak view is the original text, the strong view the augmented text; labeled rows have no strong view.
    The paper's random logit interpolation is omitted: it blends logits under two batch statistics, and a model with
    layer norm has none. The alignment uses running means, as in the authors' code (momentum 0.999 for the labeled mean,
    a window of 128 steps for the unlabeled mean); they start at the marginal of the labels. The targets are soft, as in
    the paper; the authors' code uses the most probable class after the alignment.

    The mean prediction on labeled rows follows their marginal. A class-balanced sample of skewed data aligns all
    predictions to equal classes: sample the labeled rows in proportion, or set the prior.
    """

    weight: float = 1.0
    """lambda."""

    relative_threshold: float = 0.9
    """tau, relative to the mean confidence on labeled rows."""

    alignment: Prior | Literal["predictions"] | None = "predictions"
    """Target of the alignment: "predictions", the running mean prediction on labeled rows, as in the paper; "uniform",
    "labels" or the share of each class (see `Prior`); None for no alignment."""

    momentum: float = 0.99
    """Factor on the previous running means."""

    needs: ClassVar[Needs] = Needs(views=("labeled", "second"), targets=True, augmentation=True)

    def __post_init__(self) -> None:
        check_weight(self.weight)
        check_threshold(self.relative_threshold, "relative_threshold")
        if self.alignment is not None:
            check_prior(self.alignment, "alignment", words=("predictions", "uniform", "labels"))
        check_momentum(self.momentum)

    def initial_state(self, label_share: Tensor, unlabeled: int) -> dict[str, Tensor]:
        if self.alignment == "predictions":
            return {"mean_prediction": label_share.clone(), "labeled_mean": label_share.clone()}
        return alignment_state(self.alignment, label_share)

    def choose(self, context: Context, batch: Batch) -> RowSelection:
        assert context.targets is not None
        labeled = context.views["labeled"].logits.detach().softmax(dim=-1)
        targets = context.targets.detach().softmax(dim=-1)  # soft targets have to be detached
        if self.alignment is not None:
            mean = update_running_mean(context.state["mean_prediction"], targets.mean(dim=0), self.momentum)
            if self.alignment == "predictions":
                prior = update_running_mean(context.state["labeled_mean"], labeled.mean(dim=0), self.momentum)
            else:
                prior = context.state["prior"]
            targets = align(targets, mean, prior)
        threshold = self.relative_threshold * distributed.mean(labeled.amax(dim=-1).mean())
        return RowSelection(targets, targets.amax(dim=-1) >= threshold, threshold)

    def __call__(self, context: Context, batch: Batch) -> Loss:
        targets, counted, threshold = context.selection or self.choose(context, batch)
        logits = context.views["second"].logits
        loss = (soft_cross_entropy(targets, logits) * counted).mean()
        weight = self.weight * (0.5 - math.cos(min(math.pi, 2 * math.pi * context.progress)) / 2)
        result = weighted_loss("adamatch", loss, weight, targets.argmax(dim=-1), logits, counted)
        result.terms["threshold"] = threshold
        return result
