"""FixMatch: the pseudo-label of the weak view, if it is confident, is the label of the strong view."""

from dataclasses import dataclass
from typing import ClassVar

from text_uda.model.inputs import Batch
from text_uda.objectives.checks import check_threshold, check_weight
from text_uda.objectives.hard_pseudo_labels import pseudo_label_loss, weighted_loss
from text_uda.objectives.objective import Context, Loss, Needs, RowSelection


@dataclass(frozen=True, kw_only=True)
class FixMatch:
    """lambda * mean 1[max p(y|x) >= tau] CE( argmax sg p(y|x), p(y|x^) ) over all unlabeled rows.

    Source: Sohn et al. 2020, "FixMatch" (arXiv 2001.07685), Equation 4 (lambda_u -> weight, tau ->
    confidence_threshold). The sum is divided by the whole batch, not by the number of rows that count.

    For text: the weak view is the original text, the strong view the augmented text.
    """

    weight: float = 1.0
    """lambda_u."""

    confidence_threshold: float = 0.95
    """tau."""

    needs: ClassVar[Needs] = Needs(views=("second",), targets=True, augmentation=True)

    def __post_init__(self) -> None:
        check_weight(self.weight)
        check_threshold(self.confidence_threshold)

    def choose(self, context: Context, batch: Batch) -> RowSelection:
        assert context.targets is not None
        confidence, labels = context.targets.softmax(dim=-1).max(dim=-1)  # (U,)
        return RowSelection(labels, confidence >= self.confidence_threshold, self.confidence_threshold)

    def __call__(self, context: Context, batch: Batch) -> Loss:
        labels, counted, _ = context.selection or self.choose(context, batch)
        logits = context.views["second"].logits
        return weighted_loss(
            "fixmatch", pseudo_label_loss(logits, labels, counted), self.weight, labels, logits, counted
        )
