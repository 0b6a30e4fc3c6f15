"""TMix / MixText: MixMatch for text, mixed in a hidden layer."""

import math
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from text_uda.keyed_random import keyed_seed
from text_uda.model.classifier import depth
from text_uda.model.inputs import Batch
from text_uda.model.mixing import draw_mixing
from text_uda.objectives.checks import check_positive, check_share, check_temperature, check_weight
from text_uda.objectives.functional import entropy, kl_divergence, soft_cross_entropy
from text_uda.objectives.guessed_labels import guess_labels, join_rows
from text_uda.objectives.objective import Context, Loss, Needs
from text_uda.objectives.schedules import linear_ramp

_OF_TWELVE = (7, 9, 12)


def mixed_layers(layers: int) -> list[int]:
    """The layers after which rows can be mixed: 7, 9 and 12 of 12, and in proportion for other depths."""
    return sorted({max(1, math.floor(layer * layers / 12 + 0.5)) for layer in _OF_TWELVE})


def hidden_mix_losses(
    logits: Float[Tensor, "M C"], targets: Float[Tensor, "M C"], *, labeled: int
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """The cross entropy of the mixed labeled rows, and KL(target || prediction) of the others, each a mean over rows.

    Chen et al. 2020 (arXiv 2004.12239), Section 4: the loss of MixText without the entropy term.

    Args:
        logits, targets: of the M = L + k U mixed rows, the labeled rows first; the targets are detached here.
        labeled: L.
    """
    targets = targets.detach()
    supervised = soft_cross_entropy(targets[:labeled], logits[:labeled]).mean()
    return supervised, kl_divergence(targets[labeled:], logits[labeled:]).mean()


@dataclass(frozen=True, kw_only=True)
class TMix:
    """mean CE( y', p' ) over mixed labeled rows + lambda_u(t) * mean KL( q' || p' ) over mixed unlabeled rows.

    Rows are mixed with a permutation of all rows, in the hidden states after a layer that each step draws, with m' =
    max(m, 1 - m), m ~ Beta(alpha, alpha). q = sharpen(mean of p over the views, T). An entropy term, off by default, is
    margin_weight * mean max(0, H(p(y|x)) - gamma). It includes a labeled loss: do not combine it with `Supervised`.

    Source: Chen et al. 2020, "MixText: Linguistically-Informed Interpolation of Hidden Space for Semi-Supervised Text
    Classification" (arXiv 2004.12239), Sections 3 and 4 (T -> temperature, gamma -> margin); layers {7, 9, 12} of 12
    and alpha = 16 are its settings.

    The views are the original text and the augmented text, with equal weights; the paper has two back-translations,
    which the authors' code mixes but omits from q. That code draws one m for a batch, here one for each row; its weight
    grows over the whole run; it applies the entropy term to the mixed rows, in steps without mixing; and it has no
    attention mask, while here layers after the mix attend to the positions of either text. When training on features of
    a frozen encoder, the features are mixed.
    """

    unlabeled_weight: float = 1.0
    """Largest lambda_u."""

    temperature: float = 0.5
    """T of the guessed labels."""

    alpha: float = 16.0
    """Parameter of the Beta distribution: the larger, the nearer m is to one half."""

    ramp_up: float = 0.4
    """Share of the steps over which lambda_u grows linearly to its full value; 0 for none."""

    margin_weight: float = 0.0
    """Factor on the entropy term."""

    margin: float = 0.7
    """gamma: the entropy of unlabeled predictions, in nats, up to which the entropy term is zero."""

    needs: ClassVar[Needs] = Needs(rows=("labeled", "original", "second"), embeddings=True, layers=True)

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
        guessed = guess_labels(student, views, temperature=self.temperature)
        rows, labels = join_rows(student, batch, views, guessed)
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
