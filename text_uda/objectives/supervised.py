"""The supervised loss, with training signal annealing (TSA), class weights and label smoothing."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from text_uda import distributed
from text_uda.errors import SettingsError
from text_uda.model.inputs import Batch
from text_uda.objectives.class_prior import check_each_class_is_labeled
from text_uda.objectives.objective import Context, Loss, Needs, shares
from text_uda.objectives.schedules import TSASchedule, tsa_threshold


def row_losses(
    logits: Tensor, labels: Tensor, *, class_weights: Tensor | None = None, label_smoothing: float = 0.0
) -> Tensor:
    """w_y CE( (1 - e) y + e / C, softmax(logits) ) of each row.

    Szegedy et al. 2016 (arXiv 1512.00567), Section 7, for the smoothed label. The weight is that of the label's class
    and multiplies all of a row's loss, as a sample weight does.

    Args:
        logits: (L, C).
        labels: (L,).
        class_weights: w, (C,).
        label_smoothing: e.
    Returns:
        (L,)
    """
    losses = cross_entropy(logits, labels, reduction="none", label_smoothing=label_smoothing)
    return losses if class_weights is None else losses * class_weights.to(losses.dtype)[labels]


def annealed_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    *,
    threshold: float,
    class_weights: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """`row_losses` over the rows whose *correct-class* probability is below the threshold.

    Xie et al. 2019 (arXiv 1904.12848), Equation 2: the sum over the rows that count, divided by their number. Zero,
    with a gradient of zero, when no row counts. Which rows count is decided by p(y|x) itself: class weights and
    smoothing change a row's loss, but not how well the model knows it.

    Args:
        logits: (L, C).
        labels: (L,).
        threshold: eta_t.
        class_weights, label_smoothing: see `row_losses`.
    Returns:
        the loss, a scalar; which rows count, (L,) bool.
    """
    plain = cross_entropy(logits.detach(), labels, reduction="none")  # (L,)
    counted = plain > -math.log(threshold)  # p(correct) = exp(-loss) < threshold
    losses = row_losses(logits, labels, class_weights=class_weights, label_smoothing=label_smoothing)
    number = distributed.mean(counted.sum().float())
    return (losses * counted).sum() / number.clamp_min(1 / distributed.processes()), counted


@dataclass(frozen=True, kw_only=True)
class Supervised:
    """E[-log p(y|x)] over the labeled rows.

    Source: Xie et al. 2019, "Unsupervised Data Augmentation for Consistency Training" (arXiv 1904.12848), Section 3.3.

    With class weights a row's loss is multiplied by the weight of its class, and the sum is divided by the number of
    rows, not by their weights: so a step of one class counts as its weight says. With both, annealing drops a row by
    the probability of its label, whatever its weight; under label smoothing too, so that a row above the threshold is
    not drawn back to the smoothed label until the threshold has passed it.
    """

    tsa: TSASchedule | None = None
    """Release the labeled rows gradually: drop those that the model already gets right with confidence."""

    class_weights: Literal["balanced"] | tuple[float, ...] | None = None
    """By what the loss of a class's rows is multiplied: "balanced" for N / (C n_c) with n_c of N labeled rows, as
    scikit-learn has it, so that all classes weigh the same; or a weight for each class, in their order."""

    label_smoothing: float = 0.0
    """e: the label gets 1 - e, and e is shared by all classes alike (Szegedy et al. 2016); 0.1 there."""

    needs: ClassVar[Needs] = Needs(views=("labeled",))

    def __post_init__(self) -> None:
        if self.tsa is not None and self.tsa not in get_args(TSASchedule):
            raise SettingsError(f"tsa={self.tsa!r}: choose one of {', '.join(get_args(TSASchedule))}, or None")
        if not 0 <= self.label_smoothing < 1:
            raise SettingsError(f"label_smoothing={self.label_smoothing}: give a number in [0, 1); 0 is off")
        weights = self.class_weights
        if weights is None or weights == "balanced":
            return
        if not isinstance(weights, tuple) or not all(
            isinstance(each, int | float) and 0 < each < math.inf for each in weights
        ):
            raise SettingsError(
                f"class_weights={weights!r}: choose balanced, or give a tuple with a finite number above 0 for each"
                " class"
            )

    def initial_state(self, label_share: Tensor, unlabeled: int) -> dict[str, Tensor]:
        classes, weights = len(label_share), self.class_weights
        if weights is None:
            return {}
        if weights == "balanced":
            check_each_class_is_labeled(label_share, 'class_weights="balanced"')
            return {"class_weights": 1 / (classes * label_share)}
        if len(weights) != classes:
            raise SettingsError(
                f"class_weights has {len(weights)} weights and the data {classes} classes: give one for each class"
            )
        return {"class_weights": torch.tensor(weights, dtype=torch.float32)}

    def __call__(self, context: Context, batch: Batch) -> Loss:
        logits, weights = context.views["labeled"].logits, context.state.get("class_weights")
        options = {"class_weights": weights, "label_smoothing": self.label_smoothing}
        if self.tsa is None:
            loss = row_losses(logits, batch.labels, **options).mean()
            return Loss(loss, {"supervised": loss.detach()})
        threshold = tsa_threshold(self.tsa, step=context.step, steps=context.steps, classes=context.classes)
        loss, counted = annealed_cross_entropy(logits, batch.labels, threshold=threshold, **options)
        return Loss(
            loss,
            {"supervised": loss.detach(), "tsa_threshold": threshold, "labeled_counted": shares(counted)},
        )
