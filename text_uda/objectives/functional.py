"""The formulas of consistency training: pure functions of tensors.

Shapes: A and B any rows, C classes, H units. Nothing here knows of models, batches or steps.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import log_softmax, normalize


def kl_divergence(target: Float[Tensor, "B C"], logits: Float[Tensor, "B C"]) -> Float[Tensor, " B"]:
    """KL(target || softmax(logits)) of each row, in nats.

    Xie et al. 2019 (arXiv 1904.12848), Equation 1: D_KL(p(y|x) || p(y|x^)) with target = p(y|x). A target of exactly
    zero contributes zero.

    Args:
        target: probabilities; detach them, since the paper has no gradient through them.
        logits: of the other view.
    """
    return (torch.xlogy(target, target) - target * log_softmax(logits, dim=-1)).sum(dim=-1)


def squared_difference(probabilities: Float[Tensor, "B C"], others: Float[Tensor, "B C"]) -> Float[Tensor, " B"]:
    """Mean over the classes of (p - q)^2, for each row."""
    return (probabilities - others).square().mean(dim=-1)


def soft_cross_entropy(target: Float[Tensor, "B C"], logits: Float[Tensor, "B C"]) -> Float[Tensor, " B"]:
    """- sum target log softmax(logits) of each row, in nats."""
    return -(target * log_softmax(logits, dim=-1)).sum(dim=-1)


def sharpen(probabilities: Float[Tensor, "B C"], temperature: float) -> Float[Tensor, "B C"]:
    """p^(1/T), normalised: softmax(z / T) when p = softmax(z)."""
    return log_softmax(torch.log(probabilities.clamp_min(1e-30)) / temperature, dim=-1).exp()


def align(
    probabilities: Float[Tensor, "B C"], mean: Float[Tensor, " C"], prior: Float[Tensor, " C"]
) -> Float[Tensor, "B C"]:
    """Distribution alignment: p * (prior / running mean of the predictions), renormalised.

    Berthelot et al. 2020 (ReMixMatch, arXiv 1911.09785), Section 3.1, where the prior is the marginal of the labels;
    Berthelot et al. 2022 (AdaMatch, arXiv 2106.04732), Section 3, where it is the mean prediction on labeled rows. It
    is exact for posteriors under the prior `mean`: it turns them into posteriors under `prior`.

    Args:
        mean: the running mean of the predictions.
        prior: the expected share of each class.
    """
    aligned = probabilities * (prior / mean.clamp_min(1e-6))
    return aligned / aligned.sum(dim=-1, keepdim=True)


def entropy(probabilities: Float[Tensor, "B C"]) -> Float[Tensor, " B"]:
    """- sum p log p of each row, in nats."""
    return -torch.xlogy(probabilities, probabilities).sum(dim=-1)


def cosines(vectors: Float[Tensor, "A H"], others: Float[Tensor, "B H"]) -> Float[Tensor, "A B"]:
    """The cosine of each vector with each of the others, never in bf16."""
    with torch.autocast(vectors.device.type, enabled=False):  # a temperature divides it: bf16 has too few digits
        return normalize(vectors, dim=-1) @ normalize(others, dim=-1).T
