"""InfoNCE: of all paraphrases of a batch, a text is to recognise its own. No label is read."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from text_uda import distributed
from text_uda.model.inputs import Batch
from text_uda.objectives.checks import check_share_of_the_run, check_temperature, check_weight
from text_uda.objectives.functional import cosines
from text_uda.objectives.objective import Context, Loss, Needs, shares


def pair_contrast(hidden: Tensor, second: Tensor, *, temperature: float, texts: Tensor) -> tuple[Tensor, Tensor]:
    """Mean over rows i of 1/2 (-log [s_ii / sum_j s_ij] - log [s_ii / sum_j s_ji]) with s_ij = exp(z_i . z~_j / T).

    van den Oord et al. 2018 (arXiv 1807.03748), Equation 4, and Gao et al. 2021 (arXiv 2104.08821), Equation 1, with
    z = h / |h|, in both directions (Radford et al. 2021, CLIP, arXiv 2103.00020, Figure 3). Rows of one text are no
    negatives of each other.

    Args:
        hidden, second: h and h~, (U, H).
        temperature: T.
        texts: which text a row is, (U,) int64.
    Returns:
        the loss, a scalar; which texts are most similar to their own second view, (U,) bool.
    """
    similarity = cosines(hidden, second) / temperature  # (U, U)
    itself = torch.eye(len(texts), dtype=torch.bool, device=texts.device)
    similarity = similarity.masked_fill((texts[:, None] == texts) & ~itself, -torch.inf)
    forth, back = similarity.log_softmax(dim=1).diagonal(), similarity.log_softmax(dim=0).diagonal()
    own = torch.arange(len(texts), device=texts.device)
    return -(forth + back).mean() / 2, similarity.detach().argmax(dim=1) == own


@dataclass(frozen=True, kw_only=True)
class InfoNCE:
    """weight * mean over i of 1/2 (-log [s_ii / sum_j s_ij] - log [s_ii / sum_j s_ji]), s_ij = exp(z_i . z~_j / T).

    To be added to `Supervised`, since it trains the encoder and not the last layer. i and j are unlabeled rows,
    z = h / |h| of the original view and z~ that of the second one.

    Source: van den Oord et al. 2018, "Representation Learning with Contrastive Predictive Coding" (arXiv 1807.03748),
    Equation 4; for sentences: Gao et al. 2021, "SimCSE" (arXiv 2104.08821), Equation 1 (tau -> temperature), whose
    pairs are a text under two dropouts, as here without an augmentation, or two texts of one meaning, as a cached
    paraphrase is.

    h is what the last linear layer reads, with its dropout. Departs from SimCSE, which contrasts in one direction: the
    loss is the mean over both, as a text and its paraphrase are alike. The other texts of a batch are negatives also
    where they are of the same class, which is why `until` can end it before the classes settle. With several processes
    the rows of all are contrasted, with gradient.
    """

    weight: float = 1.0
    """Factor on the loss. Not chosen yet, and a warning: on `wordnet-6` with 24 labels, `minilm-l6`, all weights, 80
    steps of 8 + 24 at 1e-4 and back-translations, the last test error is 40.1% at 1 and 22.5% without it (one seed):
    a sentence encoder recognises paraphrases from the start, and what is left to learn sets texts of a class apart."""

    temperature: float = 0.05
    """T, of the cosines; that of SimCSE."""

    until: float = 1.0
    """Share of the steps in which it counts; afterwards its rows are not run."""

    needs: ClassVar[Needs] = Needs(views=("original", "second"), hidden=True, no_head_gradient=True)

    def __post_init__(self) -> None:
        check_weight(self.weight)
        check_temperature(self.temperature)
        check_share_of_the_run(self.until)

    def __call__(self, context: Context, batch: Batch) -> Loss:
        assert batch.unlabeled_rows is not None, "the trainer says which texts the rows are"
        loss, recognised = pair_contrast(
            distributed.gathered(context.views["original"].hidden),
            distributed.gathered(context.views["second"].hidden),
            temperature=self.temperature,
            texts=distributed.gathered(batch.unlabeled_rows),
        )
        return Loss(self.weight * loss, {"infonce": loss.detach(), "infonce_recognised": shares(recognised)})
