"""InfoNCE: identifies the paraphrase of each text among all paraphrases of a batch, without labels."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from text_uda import distributed
from text_uda.model.inputs import Batch
from text_uda.objectives.checks import check_temperature, check_until, check_weight
from text_uda.objectives.functional import cosines
from text_uda.objectives.objective import Context, Loss, Needs, shares


def pair_contrast(
    hidden: Float[Tensor, "U H"], second: Float[Tensor, "U H"], *, temperature: float, texts: Int[Tensor, " U"]
) -> tuple[Float[Tensor, ""], Bool[Tensor, " U"]]:
    """Mean over rows i of 1/2 (-log [s_ii / sum_j s_ij] - log [s_ii / sum_j s_ji]) with s_ij = exp(z_i . z~_j / T).

    van den Oord et al. 2018 (arXiv 1807.03748), Equation 4, and Gao et al. 2021 (arXiv 2104.08821), Equation 1, with
    z = h / |h|, in both directions (Radford et al. 2021, CLIP, arXiv 2103.00020, Figure 3). Rows of one text are
    not negatives of each other.

    Args:
        hidden, second: h and h~.
        temperature: T.
        texts: the index of each row's text.
    Returns:
        the loss; which rows are most similar to their own second view.
    """
    similarity = cosines(hidden, second) / temperature  # (U, U)
    diagonal = torch.eye(len(texts), dtype=torch.bool, device=texts.device)
    similarity = similarity.masked_fill((texts[:, None] == texts) & ~diagonal, -torch.inf)
    forward, backward = similarity.log_softmax(dim=1).diagonal(), similarity.log_softmax(dim=0).diagonal()
    rows = torch.arange(len(texts), device=texts.device)
    return -(forward + backward).mean() / 2, similarity.detach().argmax(dim=1) == rows


@dataclass(frozen=True, kw_only=True)
class InfoNCE:
    """weight * mean over i of 1/2 (-log [s_ii / sum_j s_ij] - log [s_ii / sum_j s_ji]), s_ij = exp(z_i . z~_j / T).

    Combine it with `Supervised`, since it trains the encoder and not the last layer. i and j are unlabeled rows;
    z = h / |h| is of the original view, and z~ of the second view.

    Source: van den Oord et al. 2018, "Representation Learning with Contrastive Predictive Coding" (arXiv 1807.03748),
    Equation 4; for sentences: Gao et al. 2021, "SimCSE" (arXiv 2104.08821), Equation 1 (tau -> temperature), whose
    pairs are one text with two dropout masks, as here without an augmentation, or two texts of one meaning, such as a
    text and its cached paraphrase.

    h is the input of the last linear layer, after dropout. Departs from SimCSE, which contrasts in one direction: the
    loss is the mean over both directions, since a text and its paraphrase have equal roles. The other texts of a batch
    are negatives even if they have the same class, so `until` can end the loss before the classes settle. With several
    processes, the rows of all processes are contrasted, with gradient.
    """

    weight: float = 1.0
    """Factor on the loss. The default is not tuned, and it can harm: on `wordnet-6` with 24 labels, `minilm-l6`, all
    weights, 80 steps of 8 + 24 rows at 1e-4 and back-translations, the last test error is 40.1% at 1 and 22.5% without
    the loss (one seed). A sentence encoder identifies paraphrases from the start, and further training separates texts
    of one class."""

    temperature: float = 0.05
    """T, the divisor of the cosines, as in SimCSE."""

    until: float = 1.0
    """Share of the steps with this loss, from the first; later steps do not run its rows."""

    needs: ClassVar[Needs] = Needs(views=("original", "second"), hidden=True, no_head_gradient=True)

    def __post_init__(self) -> None:
        check_weight(self.weight)
        check_temperature(self.temperature)
        check_until(self.until)

    def __call__(self, context: Context, batch: Batch) -> Loss:
        assert batch.unlabeled_rows is not None, "the trainer sets the indices of the unlabeled rows"
        loss, recognised = pair_contrast(
            distributed.gathered(context.views["original"].hidden),
            distributed.gathered(context.views["second"].hidden),
            temperature=self.temperature,
            texts=distributed.gathered(batch.unlabeled_rows),
        )
        return Loss(self.weight * loss, {"infonce": loss.detach(), "infonce_recognised": shares(recognised)})
