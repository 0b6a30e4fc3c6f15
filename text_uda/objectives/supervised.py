"""The supervised loss, with training signal annealing (TSA), class weights and label smoothing."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy

from text_uda import distributed
from text_uda.errors import SettingsError
from text_uda.model.inputs import Batch
from text_uda.objectives.class_prior import check_all_classes_are_labeled
from text_uda.objectives.objective import Context, Loss, Needs, shares
from text_uda.objectives.schedules import TSASchedule, tsa_threshold


def row_losses(
    logits: Float[Tensor, "L C"],
    labels: Int[Tensor, " L"],
    *,
    class_weights: Float[Tensor, " C"] | None = None,
    label_smoothing: float = 0.0,
) -> Float[Tensor, " L"]:
    """w_y CE( (1 - e) y + e / C, softmax(logits) ) of each row.

    Szegedy et al. 2016 (arXiv 1512.00567), Section 7, for the smoothed label. The weight of the label's class
    multiplies the whole loss of a row, like a sample weight.

    Args:
        class_weights: w.
        label_smoothing: e.
    """
    losses = cross_entropy(logits, labels, reduction="none", label_smoothing=label_smoothing)
    return losses if class_weights is None else losses * class_weights.to(losses.dtype)[labels]


def annealed_cross_entropy(
    logits: Float[Tensor, "L C"],
    labels: Int[Tensor, " L"],
    *,
    threshold: float,
    class_weights: Float[Tensor, " C"] | None = None,
    label_smoothing: float = 0.0,
) -> tuple[Float[Tensor, ""], Bool[Tensor, " L"]]:
    """`row_losses` over the rows whose *correct-class* probability is below the threshold.

    Xie et al. 2019 (arXiv 1904.12848), Equation 2: the sum over the rows that count, divided by their number. Zero,
    with a gradient of zero, if no row counts. p(y|x) decides which rows count; class weights and smoothing change only
    the loss of a row.

    Args:
        threshold: eta_t.
        class_weights, label_smoothing: see `row_losses`.
    Returns:
        the loss; which rows count.
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

    With class weights, the loss of a row is multiplied by the weight of its class, and the sum is divided by the number
    of rows, not by the sum of weights, so that a step with rows of one class keeps the weight of that class. Annealing
    drops a row by the probability of its label, regardless of class weights and label smoothing: a row above the
    threshold is not pulled back to the smoothed label until the threshold has passed it.
    """

    tsa: TSASchedule | None = None
    """Training signal annealing: drop the labeled rows whose label already has a probability above a rising
    threshold."""

    class_weights: Literal["balanced"] | tuple[float, ...] | None = None
    """Factors on the losses of the rows of each class: "balanced" for N / (C n_c) with n_c of N labeled rows, as in
    scikit-learn, so that all classes have the same total weight; or a weight for each class, in their order."""

    label_smoothing: float = 0.0
    """e: the label gets 1 - e, and e is shared equally by all classes (Szegedy et al. 2016, with 0.1)."""

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
            isinstance(weight, int | float) and 0 < weight < math.inf for weight in weights
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
            check_all_classes_are_labeled(label_share, 'class_weights="balanced"')
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
