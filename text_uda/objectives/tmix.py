"""TMix / MixText: MixMatch for text, mixed in a hidden layer."""

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from text_uda.keyed_random import keyed_seed
from text_uda.model.classifier import depth
from text_uda.model.inputs import Batch
from text_uda.model.mixing import draw_mixing
from text_uda.objectives.checks import check_positive, check_share, check_temperature, check_weight
from text_uda.objectives.functional import entropy, kl_divergence, soft_cross_entropy
from text_uda.objectives.guessed_labels import guessed_labels, under_each_other
from text_uda.objectives.objective import Context, Loss, Needs
from text_uda.objectives.schedules import linear_ramp

_OF_TWELVE = (7, 9, 12)


def mixed_layers(layers: int) -> list[int]:
    """After which layers of an encoder rows are mixed: 7, 9 and 12 of 12, and in proportion for other depths."""
    return sorted({max(1, math.floor(each * layers / 12 + 0.5)) for each in _OF_TWELVE})


def hidden_mix_losses(logits: Tensor, targets: Tensor, *, labeled: int) -> tuple[Tensor, Tensor]:
    """The cross entropy of the mixed labeled rows, and KL(target || prediction) of the others, each a mean over rows.

    Chen et al. 2020 (arXiv 2004.12239), Section 4: the loss of MixText without the entropy term.

    Args:
        logits, targets: of the mixed rows, (L + k U, C), the labeled ones first; no gradient into the targets.
        labeled: L.
    """
    targets = targets.detach()
    supervised = soft_cross_entropy(targets[:labeled], logits[:labeled]).mean()
    return supervised, kl_divergence(targets[labeled:], logits[labeled:]).mean()


@dataclass(frozen=True, kw_only=True)
class TMix:
    """mean CE( y', p' ) over mixed labeled rows + lambda_u(t) * mean KL( q' || p' ) over mixed unlabeled ones.

    Rows are mixed with a permutation of all rows in the hidden states after a layer drawn anew in each step, with m' =
    max(m, 1 - m), m ~ Beta(alpha, alpha). q = sharpen(mean of p over the views, T). An entropy term, off by default, is
    margin_weight * mean max(0, H(p(y|x)) - gamma). It has a labeled loss of its own: take it without `Supervised`.

    Source: Chen et al. 2020, "MixText: Linguistically-Informed Interpolation of Hidden Space for Semi-Supervised Text
    Classification" (arXiv 2004.12239), Sections 3 and 4 (T -> temperature, gamma -> margin); layers {7, 9, 12} of 12
    and alpha = 16 are its settings.

    The views are the original text and the augmented one, with equal weights; the paper has two back-translations,
    which the authors' code mixes but leaves out of q. In that code one m is drawn for a batch, here one for each row;
    the weight grows over the whole run; the entropy term is that of the mixed rows, in steps without mixing; and there
    is no attention mask, while here the places that either text has are attended to after the mix. Features of a frozen
    encoder, the only hidden states in that training, are mixed as they are.
    """

    unlabeled_weight: float = 1.0
    """Largest lambda_u."""

    temperature: float = 0.5
    """T of the guessed labels."""

    alpha: float = 16.0
    """Of the Beta distribution: the larger, the nearer m is to one half."""

    ramp_up: float = 0.4
    """Share of the steps over which lambda_u grows linearly to its full value; 0 for none."""

    margin_weight: float = 0.0
    """Factor on the entropy term."""

    margin: float = 0.7
    """gamma: the entropy, in nats, that unlabeled predictions may have."""

    needs: ClassVar[Needs] = Needs(labeled=True, unlabeled=True, second=True, embeddings=True, layers=True)

    def __post_init__(self) -> None:
        check_weight(self.unlabeled_weight, "unlabeled_weight")
        check_temperature(self.temperature)
        check_positive("alpha", self.alpha)
        check_share("ramp_up", self.ramp_up)
        check_weight(self.margin_weight, "margin_weight")
        check_weight(self.margin, "margin")

    def __call__(self, context: Context, batch: Batch) -> Loss:
        assert batch.original is not None
        student, views = context.student, (batch.original, batch.second)
        guessed = guessed_labels(student, views, temperature=self.temperature)
        rows, labels = under_each_other(student, batch, views, guessed)
        sizes = [len(batch.labeled), *map(len, views)]
        mixing = draw_mixing(context.key, sizes, alpha=self.alpha, larger_weight=True, device=labels.device)
        layers = mixed_layers(depth(student.model))
        layer = layers[keyed_seed(context.key, "layer") % len(layers)]
        logits = student(rows, mixing=mixing, layer=layer).logits
        supervised, unlabeled = hidden_mix_losses(logits, mixing(labels), labeled=sizes[0])
        weight = self.unlabeled_weight * linear_ramp(step=context.step, steps=context.steps, end=self.ramp_up)
        total = supervised + weight * unlabeled
        terms: dict[str, Tensor | float] = {
            "supervised": supervised.detach(),
            "tmix": unlabeled.detach(),
            "tmix_weight": weight,
            "confidence": guessed.amax(dim=-1).mean(),
        }
        if self.margin_weight:
            uncertain = (entropy(student(batch.original).logits.softmax(dim=-1)) - self.margin).clamp_min(0).mean()
            total = total + self.margin_weight * uncertain
            terms["tmix_margin"] = uncertain.detach()
        return Loss(total, terms)
