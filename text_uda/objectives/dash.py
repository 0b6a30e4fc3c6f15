"""Dash: pseudo-labels whose loss is below a threshold that falls during the run."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from text_uda import distributed
from text_uda.errors import SettingsError
from text_uda.model.inputs import Batch
from text_uda.objectives.checks import check_positive, check_weight
from text_uda.objectives.hard_pseudo_labels import pseudo_label_loss, weighted_loss
from text_uda.objectives.objective import Context, Loss, Needs, RowSelection


def loss_threshold(initial: float, *, decays: int, gamma: float, slack: float, least: float) -> float:
    """rho_t = C gamma^-(t-1) rho_1, no less than `least`.

    Xu et al. 2021 (arXiv 2109.00650), Algorithm 1.

    Args:
        initial: rho_1, the mean loss on labeled rows at the start.
        decays: t - 1.
        slack: C, a little above 1.
    """
    return max(slack * gamma**-decays * initial, least)


@dataclass(frozen=True, kw_only=True)
class Dash:
    """lambda * mean 1[ -log max p(y|x) <= rho_t ] CE( argmax sg p(y|x), p(y|x^) ) over all unlabeled rows.

    rho_t = C gamma^-(t-1) rho_1, at least rho_min, where rho_1 is the mean loss on the labeled rows of the first step.

    Source: Xu et al. 2021, "Dash: Semi-Supervised Learning with Dynamic Thresholding" (arXiv 2109.00650), Algorithm 1
    (lambda -> weight, C -> slack, gamma -> gamma, rho_min of the benchmarks' settings -> least). With a hard label the
    loss of the weak view is -log max p, so rho_t is a threshold of exp(-rho_t) on the confidence. The labels are always
    hard; the field's benchmark has soft labels until rho_t reaches rho_min.

    For text: the weak view is the original text, the strong view the augmented text. t counts `decays` equal parts of
    the run. The paper trains on the labels alone first and measures rho_1 then; here rho_1 is the loss of the new head,
    about log K, so that nearly every row counts in the first part.
    """

    weight: float = 1.0
    """lambda."""

    gamma: float = 1.27
    """The threshold is divided by this from one part of the run to the next."""

    slack: float = 1.0001
    """C."""

    least: float = 0.05
    """rho_min; at 0.05, a row with a confidence of 0.95 always counts."""

    decays: int = 20
    """Number of equal parts of the run; the threshold is constant in each."""

    needs: ClassVar[Needs] = Needs(views=("labeled", "second"), targets=True, augmentation=True)

    def __post_init__(self) -> None:
        check_weight(self.weight)
        for name in ("slack", "least"):
            check_positive(name, getattr(self, name))
        if not self.gamma > 1:
            raise SettingsError(f"gamma={self.gamma}: give a number above 1")
        if self.decays < 1:
            raise SettingsError(f"decays={self.decays}: give 1 or more")

    def initial_state(self, label_share: Tensor, unlabeled: int) -> dict[str, Tensor]:
        return {"initial_loss": torch.tensor(math.nan)}

    def choose(self, context: Context, batch: Batch) -> RowSelection:
        assert context.targets is not None
        initial = context.state["initial_loss"]
        if initial.isnan():
            labeled = cross_entropy(context.views["labeled"].logits.detach(), batch.labels)
            initial.copy_(distributed.mean(labeled))
        confidence, labels = context.targets.softmax(dim=-1).max(dim=-1)  # (U,)
        decays = context.step * self.decays // context.steps
        threshold = loss_threshold(float(initial), decays=decays, gamma=self.gamma, slack=self.slack, least=self.least)
        return RowSelection(labels, -torch.log(confidence) <= threshold, math.exp(-threshold))

    def __call__(self, context: Context, batch: Batch) -> Loss:
        labels, counted, threshold = context.selection or self.choose(context, batch)
        logits = context.views["second"].logits
        loss = weighted_loss("dash", pseudo_label_loss(logits, labels, counted), self.weight, labels, logits, counted)
        loss.terms["threshold"] = threshold
        return loss
