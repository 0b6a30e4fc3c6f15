"""Supervised contrast: labeled rows of one class should have one direction, and rows of other classes others."""

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


def supervised_contrast(
    hidden: Float[Tensor, "B H"], labels: Int[Tensor, " B"], *, temperature: float
) -> tuple[Float[Tensor, ""], Bool[Tensor, " B"]]:
    """Mean over rows i of -1/|P(i)| sum_{p in P(i)} log [exp(z_i . z_p / T) / sum_{a != i} exp(z_i . z_a / T)].

    Khosla et al. 2020 (arXiv 2004.11362), Equation 2 (L_out), z = h / |h|. P(i) is empty for a row without another row
    of its class: it is a negative of the others, and the mean omits it. The loss is zero if every P(i) is empty.

    Args:
        hidden: h.
        temperature: T.
    Returns:
        the loss; whether the most similar other row has the same class, for each row.
    """
    diagonal = torch.eye(len(hidden), dtype=torch.bool, device=hidden.device)
    similarity = (cosines(hidden, hidden) / temperature).masked_fill(diagonal, -torch.inf)  # (B, B)
    positive = (labels[:, None] == labels) & ~diagonal  # (B, B): p in P(i)
    log_p = similarity.log_softmax(dim=-1).masked_fill(~positive, 0.0)  # no -inf times 0
    positives = positive.sum(dim=-1)  # (B,): |P(i)|
    losses = -log_p.sum(dim=-1) / positives.clamp_min(1)
    loss = losses.sum() / (positives > 0).sum().clamp_min(1)
    return loss, labels[similarity.detach().argmax(dim=-1)] == labels


@dataclass(frozen=True, kw_only=True)
class SupCon:
    """weight * mean over i of -1/|P(i)| sum_{p in P(i)} log [exp(z_i . z_p / T) / sum_{a != i} exp(z_i . z_a / T)].

    Combine it with `Supervised`, since it trains the encoder and not the last layer. i, p and a are labeled rows, P(i)
    the other rows of the class of i, z = h / |h|.

    Source: Khosla et al. 2020, "Supervised Contrastive Learning" (arXiv 2004.11362), Equation 2 (tau -> temperature);
    beside the cross entropy when a language model is fine-tuned: Gunel et al. 2021, "Supervised Contrastive Learning
    for Pre-trained Language Model Fine-tuning" (arXiv 2011.01403), Equations 1 to 3, as (1 - l) CE + l SupCon: l = 0.9
    is a weight of 9 here at a learning rate of a tenth.

    h is the input of the last linear layer, after dropout: the mean of the tokens if the head is linear, else the
    output of the head's first layer for the first token. Each labeled row is run twice, with different dropout, so that
    it has a positive in any batch; Gunel et al. have one pass, and a row alone in its class has no positive.

    SetFit (Tunstall et al. 2022, arXiv 2209.11055) trains the encoder on pairs of labeled texts, too: the squared error
    of each pair's cosine against 1 within a class and 0 between classes; it fits logistic regression afterwards. Here
    all rows of a batch compete in one softmax, only the order of the cosines counts, and the last layer is trained at
    the same time. With several processes, the rows of all processes are contrasted, with gradient.
    """

    weight: float = 1.0
    """Factor on the loss."""

    temperature: float = 0.1
    """T, the divisor of the cosines; 0.1 in Khosla et al., 0.3 in Gunel et al."""

    until: float = 1.0
    """Share of the steps with this loss, from the first; later steps do not run its rows."""

    needs: ClassVar[Needs] = Needs(views=("labeled", "labeled again"), hidden=True, no_head_gradient=True)

    def __post_init__(self) -> None:
        check_weight(self.weight)
        check_temperature(self.temperature)
        check_until(self.until)

    def __call__(self, context: Context, batch: Batch) -> Loss:
        hidden = [distributed.gathered(context.views[view].hidden) for view in self.needs.views]
        labels = distributed.gathered(batch.labels)
        loss, _ = supervised_contrast(
            torch.cat(hidden), torch.cat([labels] * len(hidden)), temperature=self.temperature
        )
        # For the log, the first pass alone: among both, the most similar row is the same text with the other dropout.
        _, neighbors = supervised_contrast(hidden[0].detach(), labels, temperature=self.temperature)
        return Loss(self.weight * loss, {"supcon": loss.detach(), "supcon_nearest": shares(neighbors)})
