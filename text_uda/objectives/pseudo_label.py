"""Pseudo-Label: the most probable class is the label."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from text_uda.errors import SettingsError
from text_uda.model.inputs import Batch
from text_uda.objectives.checks import check_share, check_threshold, check_weight
from text_uda.objectives.hard_pseudo_labels import pseudo_label_loss
from text_uda.objectives.objective import Context, Loss, Needs, shares
from text_uda.objectives.schedules import linear_ramp


@dataclass(frozen=True, kw_only=True)
class PseudoLabel:
    """alpha(t) * mean 1[max p(y|x) >= c] CE( argmax sg p(y|x), p(y|x) ) over the unlabeled rows.

    Source: Lee 2013, "Pseudo-Label: The Simple and Efficient Semi-Supervised Learning Method for Deep Neural Networks"
    (ICML 2013 workshop), Equations 15 and 16 (alpha_f -> weight, T_1 -> ramp_start, T_2 -> ramp_end, as shares of the
    run: 100 and 600 of the paper's epochs).

    The paper has no threshold; the field's benchmarks add c -> confidence_threshold, and 0 turns it off. One pass over
    the original text gives both the label and the prediction.
    """

    weight: float = 1.0
    """alpha_f, the final weight; 3 in the paper."""

    confidence_threshold: float = 0.95
    """c: an unlabeled row counts if its largest probability is at least this."""

    ramp_start: float = 0.1
    """Share of the steps before the weight starts to grow from 0."""

    ramp_end: float = 0.5
    """Share of the steps after which the weight is constant."""

    needs: ClassVar[Needs] = Needs(views=("original",))

    def __post_init__(self) -> None:
        check_weight(self.weight)
        check_threshold(self.confidence_threshold)
        check_share("ramp_start", self.ramp_start)
        check_share("ramp_end", self.ramp_end)
        if self.ramp_end < self.ramp_start:
            raise SettingsError(f"ramp_end={self.ramp_end}: give ramp_start={self.ramp_start} or more")

    def __call__(self, context: Context, batch: Batch) -> Loss:
        logits = context.views["original"].logits
        confidence, labels = logits.detach().softmax(dim=-1).max(dim=-1)
        counted = confidence >= self.confidence_threshold
        loss = pseudo_label_loss(logits, labels, counted)
        weight = self.weight * linear_ramp(
            step=context.step, steps=context.steps, start=self.ramp_start, end=self.ramp_end
        )
        terms: dict[str, Tensor | float] = {
            "pseudo_label": loss.detach(),
            "pseudo_label_weight": weight,
            "confident": shares(counted),
        }
        return Loss(weight * loss, terms)
