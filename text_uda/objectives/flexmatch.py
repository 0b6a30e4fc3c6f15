"""FlexMatch: FixMatch with a threshold for each class, lower where the model has learnt less."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from text_uda import distributed
from text_uda.batch import Batch
from text_uda.objectives.checks import check_threshold, check_weight
from text_uda.objectives.objective import Chosen, Context, Loss, Needs
from text_uda.objectives.thresholds import pseudo_label_loss, told

_NONE = -1  # of a row that was never predicted with confidence


def class_thresholds(known: Tensor, classes: int, *, threshold: float) -> Tensor:
    """tau M(beta(c)), with beta(c) = sigma(c) / max( max sigma, N - sum sigma ) and M(b) = b / (2 - b).

    Zhang et al. 2021 (arXiv 2110.08263), Equations 5 to 7 with the warm-up of Equation 11 and the convex mapping.

    Args:
        known: the last confident class of each of the N rows, (N,) int64, or -1.
    Returns:
        (C,) float32.
    """
    counts = torch.bincount(known + 1, minlength=classes + 1).float()  # the first is that of rows without a class
    learnt = counts[1:] / counts.max().clamp_min(1)
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
    of at least tau, divided by that of the best learnt class (or by the number of rows never so predicted, if larger).

    Source: Zhang et al. 2021, "FlexMatch: Boosting Semi-Supervised Learning with Curriculum Pseudo Labeling" (arXiv
    2110.08263), Algorithm 1 (lambda -> weight, tau -> confidence_threshold), with the threshold warm-up and the convex
    mapping. What a row was last predicted as is kept for all rows, and updated after it was used, as in the authors'
    code; so in the first step, when nothing is known, every row counts. N is the number of all unlabeled rows: a run
    that sees only a part of them never gets beyond the warm-up, and has next to no threshold.

    For text: the weak view is the original text, the strong one the augmented.
    """

    weight: float = 1.0
    """lambda."""

    confidence_threshold: float = 0.95
    """tau, that of the class which is learnt best."""

    needs: ClassVar[Needs] = Needs(views=("second",), targets=True, augmentation=True)

    def __post_init__(self) -> None:
        check_weight(self.weight)
        check_threshold(self.confidence_threshold)

    def initial_state(self, classes: int, unlabeled: int) -> dict[str, Tensor]:
        return {"known": torch.full((unlabeled,), _NONE)}

    def choose(self, context: Context, batch: Batch) -> Chosen:
        assert context.targets is not None and batch.unlabeled_rows is not None
        known = context.state["known"]
        confidence, labels = context.targets.softmax(dim=-1).max(dim=-1)  # (U,)
        thresholds = class_thresholds(known, context.classes, threshold=self.confidence_threshold)
        counted = confidence >= thresholds[labels]
        sure = confidence >= self.confidence_threshold
        remember(known, *(distributed.gathered(each) for each in (batch.unlabeled_rows, labels, sure)))
        return Chosen(labels, counted, thresholds.mean())

    def __call__(self, context: Context, batch: Batch) -> Loss:
        labels, counted, threshold = context.chosen or self.choose(context, batch)
        logits = context.views["second"].logits
        loss = told("flexmatch", pseudo_label_loss(logits, labels, counted), self.weight, labels, logits, counted)
        loss.terms["threshold"] = threshold
        return loss
