"""The formulas of consistency training: pure functions of tensors.

Shapes: B rows, C classes. Nothing here knows of models, batches or steps.
"""

import torch
from torch import Tensor
from torch.nn.functional import log_softmax, normalize


def kl_divergence(target: Tensor, logits: Tensor) -> Tensor:
    """KL(target || softmax(logits)) of each row, in nats.

    Xie et al. 2019 (arXiv 1904.12848), Equation 1: D_KL(p(y|x) || p(y|x^)) with target = p(y|x). A target of exactly
    zero contributes zero.

    Args:
        target: probabilities, (B, C); pass it detached, the paper puts no gradient through it.
        logits: of the other view, (B, C).
    Returns:
        (B,)
    """
    return (torch.xlogy(target, target) - target * log_softmax(logits, dim=-1)).sum(dim=-1)


def squared_difference(probabilities: Tensor, others: Tensor) -> Tensor:
    """Mean over the classes of (p - q)^2 of each row. (B, C), (B, C) -> (B,)"""
    return (probabilities - others).square().mean(dim=-1)


def soft_cross_entropy(target: Tensor, logits: Tensor) -> Tensor:
    """- sum target log softmax(logits) of each row, in nats. (B, C), (B, C) -> (B,)"""
    return -(target * log_softmax(logits, dim=-1)).sum(dim=-1)


def sharpen(probabilities: Tensor, temperature: float) -> Tensor:
    """p^(1/T), normalised: softmax(z / T) when p = softmax(z). (B, C) -> (B, C)"""
    return log_softmax(torch.log(probabilities.clamp_min(1e-30)) / temperature, dim=-1).exp()


def align(probabilities: Tensor, mean: Tensor, prior: Tensor) -> Tensor:
    """Distribution alignment: p * (prior / running mean of the predictions), renormalised.

    Berthelot et al. 2020 (ReMixMatch, arXiv 1911.09785), Section 3.1, where the prior is the marginal of the labels;
    Berthelot et al. 2022 (AdaMatch, arXiv 2106.04732), Section 3, where it is the mean prediction on labeled rows. It
    is exact for posteriors that were made under the prior `mean`: it turns them into those under `prior`.

    Args:
        probabilities: (B, C).
        mean: the running mean of the predictions, (C,).
        prior: how often each class is expected, (C,).
    """
    aligned = probabilities * (prior / mean.clamp_min(1e-6))
    return aligned / aligned.sum(dim=-1, keepdim=True)


def entropy(probabilities: Tensor) -> Tensor:
    """- sum p log p of each row, in nats. (B, C) -> (B,)"""
    return -torch.xlogy(probabilities, probabilities).sum(dim=-1)


def cosines(vectors: Tensor, others: Tensor) -> Tensor:
    """Of each vector with each other, also in a bf16 pass as exact as they come. (A, H), (B, H) -> (A, B)"""
    with torch.autocast(vectors.device.type, enabled=False):  # divided by a temperature, two digits are not enough
        return normalize(vectors, dim=-1) @ normalize(others, dim=-1).T
