"""FlexMatch: FixMatch with a threshold for each class, lower for classes that the model has learnt less."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from text_uda import distributed
from text_uda.model.inputs import Batch
from text_uda.objectives.checks import check_threshold, check_weight
from text_uda.objectives.class_prior import Prior, check_prior, class_distribution
from text_uda.objectives.hard_pseudo_labels import pseudo_label_loss, weighted_loss
from text_uda.objectives.objective import Context, Loss, Needs, RowSelection

_NONE = -1  # the class of a row that was never predicted with confidence


def class_thresholds(known: Int[Tensor, " N"], prior: Float[Tensor, " C"], *, threshold: float) -> Float[Tensor, " C"]:
    """tau M(beta(c)), beta(c) = s(c) / max( max s, N - sum sigma ), s(c) = sigma(c) / (K pi(c)), M(b) = b / (2 - b).

    Zhang et al. 2021 (arXiv 2110.08263), Equations 5 to 7 with the warm-up of Equation 11 and the convex mapping. Their
    prior pi is uniform, so s = sigma.

    Args:
        known: the last confident class of each row, or -1.
        prior: pi.
    Returns:
        float32.
    """
    classes = len(prior)
    counts = torch.bincount(known + 1, minlength=classes + 1).float()  # counts[0]: rows without a class
    counts[1:] /= classes * prior
    learnt = counts[1:] / counts.max().clamp_min(1)
    return threshold * learnt / (2 - learnt)


def highest_threshold(*, visits: int, unlabeled: int, classes: int, threshold: float) -> float:
    """tau M(beta) at the end of a run if every visited row is predicted with confidence, with the classes of the prior.

    Args:
        visits: steps times the unlabeled rows of a step.
        unlabeled: N.
    """
    visited = min(visits, unlabeled)
    learnt = (visited / classes) / max(visited / classes, unlabeled - visited)
    return threshold * learnt / (2 - learnt)


def store_confident_classes(
    known: Int[Tensor, " N"], rows: Int[Tensor, " U"], labels: Int[Tensor, " U"], confident: Bool[Tensor, " U"]
) -> None:
    """Store in `known`, in place, the class of each row that is predicted with confidence.

    A batch across the end of an epoch can hold a row twice: its last confident class counts, on every device and in
    every process.

    Args:
        rows: indices into the N rows.
        labels: their predicted classes.
    """
    repeated = (rows[:, None] == rows).triu(diagonal=1)  # (U, U): the same row again, later in the batch
    last = confident & ~(repeated & confident).any(dim=1)
    known[rows[last]] = labels[last]


@dataclass(frozen=True, kw_only=True)
class FlexMatch:
    """lambda * mean 1[max p(y|x) >= tau_t(argmax p)] CE( argmax sg p(y|x), p(y|x^) ) over all unlabeled rows.

    tau_t(c) = tau M(beta_t(c)). beta_t(c) is the number of rows whose last prediction with a probability of at least
    tau was c, over the expected share of c, divided by the same ratio of the best learnt class (or by the number of
    rows without such a prediction, if larger).

    Source: Zhang et al. 2021, "FlexMatch: Boosting Semi-Supervised Learning with Curriculum Pseudo Labeling" (arXiv
    2110.08263), Algorithm 1 (lambda -> weight, tau -> confidence_threshold), with the threshold warm-up and the convex
    mapping. The last confident class of each row is stored, and updated after its use, as in the authors' code; so
    every row counts in the first step. N is the number of all unlabeled rows: a run that visits a part of them stays in
    the warm-up, and its thresholds stay near 0. With 650,000 texts in five classes, 1,000 steps of 24 rows reach a
    highest threshold of 0.0037, below the confidence of any row; such a run logs a warning.

    The paper assumes equal classes: a class that is rarely predicted counts as badly learnt. With a prior, a class
    counts as badly learnt if it is predicted less often than expected.

    For text: the weak view is the original text, the strong view the augmented text.
    """

    weight: float = 1.0
    """lambda."""

    confidence_threshold: float = 0.95
    """tau, the threshold of the best learnt class."""

    prior: Prior = "uniform"
    """The expected share of each class (see `Prior`): "uniform", the paper, "labels", or the share of each class;
    set by `--alignment`."""

    needs: ClassVar[Needs] = Needs(views=("second",), targets=True, augmentation=True)

    def __post_init__(self) -> None:
        check_weight(self.weight)
        check_threshold(self.confidence_threshold)
        check_prior(self.prior, "prior")

    def initial_state(self, label_share: Tensor, unlabeled: int) -> dict[str, Tensor]:
        prior = class_distribution(self.prior, label_share, "prior")
        return {"known": torch.full((unlabeled,), _NONE), "prior": prior}

    def choose(self, context: Context, batch: Batch) -> RowSelection:
        assert context.targets is not None and batch.unlabeled_rows is not None
        known = context.state["known"]
        confidence, labels = context.targets.softmax(dim=-1).max(dim=-1)  # (U,)
        thresholds = class_thresholds(known, context.state["prior"], threshold=self.confidence_threshold)
        counted = confidence >= thresholds[labels]
        confident = confidence >= self.confidence_threshold
        gathered = (distributed.gathered(part) for part in (batch.unlabeled_rows, labels, confident))
        store_confident_classes(known, *gathered)
        return RowSelection(labels, counted, thresholds.mean())

    def __call__(self, context: Context, batch: Batch) -> Loss:
        labels, counted, threshold = context.selection or self.choose(context, batch)
        logits = context.views["second"].logits
        loss = weighted_loss(
            "flexmatch", pseudo_label_loss(logits, labels, counted), self.weight, labels, logits, counted
        )
        loss.terms["threshold"] = threshold
        loss.terms["highest_threshold"] = highest_threshold(
            visits=context.steps * len(labels) * distributed.processes(),
            unlabeled=len(context.state["known"]),
            classes=context.classes,
            threshold=self.confidence_threshold,
        )
        loss.terms["least_confidence"] = 1 / context.classes
        return loss
