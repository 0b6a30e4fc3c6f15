"""FlexMatch: FixMatch with a threshold for each class, lower where the model has learnt less."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from text_uda import distributed
from text_uda.model.inputs import Batch
from text_uda.objectives.checks import check_threshold, check_weight
from text_uda.objectives.class_prior import Prior, check_prior, distribution
from text_uda.objectives.hard_pseudo_labels import pseudo_label_loss, told
from text_uda.objectives.objective import Chosen, Context, Loss, Needs

_NONE = -1  # of a row that was never predicted with confidence


def class_thresholds(known: Tensor, prior: Tensor, *, threshold: float) -> Tensor:
    """tau M(beta(c)), beta(c) = s(c) / max( max s, N - sum sigma ), s(c) = sigma(c) / (K pi(c)), M(b) = b / (2 - b).

    Zhang et al. 2021 (arXiv 2110.08263), Equations 5 to 7 with the warm-up of Equation 11 and the convex mapping, where
    the prior pi is uniform, and so s = sigma.

    Args:
        known: the last confident class of each of the N rows, (N,) int64, or -1.
        prior: pi, (C,).
    Returns:
        (C,) float32.
    """
    classes = len(prior)
    counts = torch.bincount(known + 1, minlength=classes + 1).float()  # the first is that of rows without a class
    counts[1:] /= classes * prior
    learnt = counts[1:] / counts.max().clamp_min(1)
    return threshold * learnt / (2 - learnt)


def highest_threshold(*, visits: int, unlabeled: int, classes: int, threshold: float) -> float:
    """tau M(beta) at the end of a run in which each row that it visits is predicted with confidence, as often as the
    prior has it.

    Args:
        visits: steps times the unlabeled rows of one.
        unlabeled: N.
    """
    seen = min(visits, unlabeled)
    learnt = (seen / classes) / max(seen / classes, unlabeled - seen)
    return threshold * learnt / (2 - learnt)


def remember(known: Tensor, rows: Tensor, labels: Tensor, sure: Tensor) -> None:
    """Note, in place, the class of each row that was predicted with confidence.

    A batch over the end of an epoch may have a row twice: its last confident class stays, on every device and in every
    process.

    Args:
        known: (N,) int64.
        rows, labels: which of the N rows, and their classes, (U,) int64.
        sure: (U,) bool.
    """
    again = (rows[:, None] == rows).triu(diagonal=1)  # (U, U): the second comes later and is the same row
    last = sure & ~(again & sure).any(dim=1)
    known[rows[last]] = labels[last]


@dataclass(frozen=True, kw_only=True)
class FlexMatch:
    """lambda * mean 1[max p(y|x) >= tau_t(argmax p)] CE( argmax sg p(y|x), p(y|x^) ) over all unlabeled rows.

    tau_t(c) = tau M(beta_t(c)), where beta_t(c) is the number of rows that were last predicted as c with a probability
    of at least tau, over its expected share, divided by that of the best learnt class (or by the number of rows never
    so predicted, if larger).

    Source: Zhang et al. 2021, "FlexMatch: Boosting Semi-Supervised Learning with Curriculum Pseudo Labeling" (arXiv
    2110.08263), Algorithm 1 (lambda -> weight, tau -> confidence_threshold), with the threshold warm-up and the convex
    mapping. What a row was last predicted as is kept for all rows, and updated after it was used, as in the authors'
    code; so in the first step, when nothing is known, every row counts. N is the number of all unlabeled rows: a run
    that sees only a part of them never gets beyond the warm-up, and has next to no threshold. Of 650,000 texts in five
    classes 1,000 steps of 24 see so few that the highest threshold is 0.0037, below the confidence of any row; such a
    run says so.

    The paper takes a class that is seldom predicted for one that is learnt badly, which assumes equal classes; with a
    prior that is one predicted less than expected.

    For text: the weak view is the original text, the strong one the augmented.
    """

    weight: float = 1.0
    """lambda."""

    confidence_threshold: float = 0.95
    """tau, that of the class which is learnt best."""

    prior: Prior = "uniform"
    """How often each class is expected (see `Prior`): "uniform", the paper, "labels", or the share of each class;
    `--alignment` sets it."""

    needs: ClassVar[Needs] = Needs(views=("second",), targets=True, augmentation=True)

    def __post_init__(self) -> None:
        check_weight(self.weight)
        check_threshold(self.confidence_threshold)
        check_prior(self.prior, "prior")

    def initial_state(self, label_share: Tensor, unlabeled: int) -> dict[str, Tensor]:
        prior = distribution(self.prior, label_share, "prior")
        return {"known": torch.full((unlabeled,), _NONE), "prior": prior}

    def choose(self, context: Context, batch: Batch) -> Chosen:
        assert context.targets is not None and batch.unlabeled_rows is not None
        known = context.state["known"]
        confidence, labels = context.targets.softmax(dim=-1).max(dim=-1)  # (U,)
        thresholds = class_thresholds(known, context.state["prior"], threshold=self.confidence_threshold)
        counted = confidence >= thresholds[labels]
        sure = confidence >= self.confidence_threshold
        remember(known, *(distributed.gathered(each) for each in (batch.unlabeled_rows, labels, sure)))
        return Chosen(labels, counted, thresholds.mean())

    def __call__(self, context: Context, batch: Batch) -> Loss:
        labels, counted, threshold = context.chosen or self.choose(context, batch)
        logits = context.views["second"].logits
        loss = told("flexmatch", pseudo_label_loss(logits, labels, counted), self.weight, labels, logits, counted)
        loss.terms["threshold"] = threshold
        loss.terms["highest_threshold"] = highest_threshold(
            visits=context.steps * len(labels) * distributed.processes(),
            unlabeled=len(context.state["known"]),
            classes=context.classes,
            threshold=self.confidence_threshold,
        )
        loss.terms["least_confidence"] = 1 / context.classes
        return loss
