"""Weights of the tasks' losses by the uncertainty of their labels."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

LARGEST_WEIGHT = 10.0
"""As a training loss nears 0, its weight would grow without bound."""

LEARNING_RATE = 1e-2
"""Peak learning rate of the log variances: that of an encoder would not move them in a short run."""


def uncertainty_weighted(losses: Sequence[Tensor], log_variances: Tensor) -> Tensor:
    """sum_t exp(-s_t) L_t + s_t / 2, a scalar.

    Source: Kendall, Gal & Cipolla 2018, "Multi-Task Learning Using Uncertainty to Weigh Losses" (arXiv 1705.07115),
    Equation 10, with s_t = log sigma_t^2, which the authors train instead of sigma_t. A loss here is the sum of all
    objectives of its task. s_t has no weight decay and stays within +- log(LARGEST_WEIGHT).

    Args:
        losses: T scalars.
        log_variances: s, (T,).
    """
    return ((-log_variances).exp() * torch.stack(list(losses)) + log_variances / 2).sum()


def new_log_variances(tasks: int, device: torch.device) -> nn.Parameter:
    """Weights of 1, (T,)."""
    return nn.Parameter(torch.zeros(tasks, device=device))


@torch.no_grad()
def keep_within_bounds(log_variances: Tensor) -> None:
    """Clamp in place, so that the gradient at the bound can lead back."""
    log_variances.clamp_(-math.log(LARGEST_WEIGHT), math.log(LARGEST_WEIGHT))
