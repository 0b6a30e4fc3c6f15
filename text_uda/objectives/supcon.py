"""Supervised contrast: labeled rows of one class are to point in one direction, rows of other classes in others."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from text_uda import distributed
from text_uda.model.inputs import Batch
from text_uda.objectives.checks import check_share_of_the_run, check_temperature, check_weight
from text_uda.objectives.functional import cosines
from text_uda.objectives.objective import Context, Loss, Needs, shares


def supervised_contrast(hidden: Tensor, labels: Tensor, *, temperature: float) -> tuple[Tensor, Tensor]:
    """Mean over rows i of -1/|P(i)| sum_{p in P(i)} log [exp(z_i . z_p / T) / sum_{a != i} exp(z_i . z_a / T)].

    Khosla et al. 2020 (arXiv 2004.11362), Equation 2 (L_out), z = h / |h|. A row without another of its class has no
    P(i): it is a negative of the others, and the mean leaves it out. Zero where no row has one.

    Args:
        hidden: h, (B, H).
        labels: (B,).
        temperature: T.
    Returns:
        the loss, a scalar; which rows have their class in the most similar other row, (B,) bool.
    """
    itself = torch.eye(len(hidden), dtype=torch.bool, device=hidden.device)
    similarity = (cosines(hidden, hidden) / temperature).masked_fill(itself, -torch.inf)  # (B, B)
    positive = (labels[:, None] == labels) & ~itself  # (B, B): p in P(i)
    log_p = similarity.log_softmax(dim=-1).masked_fill(~positive, 0.0)  # no -inf times 0
    positives = positive.sum(dim=-1)  # (B,): |P(i)|
    losses = -log_p.sum(dim=-1) / positives.clamp_min(1)
    loss = losses.sum() / (positives > 0).sum().clamp_min(1)
    return loss, labels[similarity.detach().argmax(dim=-1)] == labels


@dataclass(frozen=True, kw_only=True)
class SupCon:
    """weight * mean over i of -1/|P(i)| sum_{p in P(i)} log [exp(z_i . z_p / T) / sum_{a != i} exp(z_i . z_a / T)].

    To be added to `Supervised`, since it trains the encoder and not the last layer. i, p and a are labeled rows, P(i)
    the other rows of the class of i, z = h / |h|.

    Source: Khosla et al. 2020, "Supervised Contrastive Learning" (arXiv 2004.11362), Equation 2 (tau -> temperature);
    beside the cross entropy when a language model is fine-tuned: Gunel et al. 2021, "Supervised Contrastive Learning
    for Pre-trained Language Model Fine-tuning" (arXiv 2011.01403), Equations 1 to 3, as (1 - l) CE + l SupCon: l = 0.9
    is a weight of 9 here at a learning rate of a tenth.

    h is what the last linear layer reads, with its dropout: the mean of the tokens where the head is linear, else what
    the head's first layer makes of the first token. Each labeled row is run twice, with two dropouts, so that each has
    a positive in a batch of any classes; Gunel et al. have one pass, and a row alone in its class has none.

    SetFit (Tunstall et al. 2022, arXiv 2209.11055) trains the encoder on pairs of labeled texts, too: the cosine is to
    be 1 within a class and 0 between classes, in squared error, pair by pair, and logistic regression is fitted
    afterwards. Here all rows of a batch compete in one softmax, only the order of the cosines counts, and the last
    layer is trained beside it. With several processes the rows of all are contrasted, with gradient.
    """

    weight: float = 1.0
    """Factor on the loss."""

    temperature: float = 0.1
    """T, of the cosines. Khosla et al. take 0.1, Gunel et al. 0.3."""

    until: float = 1.0
    """Share of the steps in which it counts; afterwards its rows are not run."""

    needs: ClassVar[Needs] = Needs(views=("labeled", "labeled again"), hidden=True, no_head_gradient=True)

    def __post_init__(self) -> None:
        check_weight(self.weight)
        check_temperature(self.temperature)
        check_share_of_the_run(self.until)

    def __call__(self, context: Context, batch: Batch) -> Loss:
        hidden = [distributed.gathered(context.views[view].hidden) for view in self.needs.views]
        labels = distributed.gathered(batch.labels)
        loss, _ = supervised_contrast(
            torch.cat(hidden), torch.cat([labels] * len(hidden)), temperature=self.temperature
        )
        # Of the first pass alone: the nearest row of all is the same text with the other dropout.
        _, neighbors = supervised_contrast(hidden[0].detach(), labels, temperature=self.temperature)
        return Loss(self.weight * loss, {"supcon": loss.detach(), "supcon_nearest": shares(neighbors)})
