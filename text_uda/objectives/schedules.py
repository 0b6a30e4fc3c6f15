"""Schedules, as pure functions of the step: a resumed run needs no schedule state."""

import math
from collections.abc import Callable
from typing import Literal

TSASchedule = Literal["linear", "log", "exp"]
Schedule = Literal["linear", "cosine", "cosine-7-16", "constant"]


def tsa_threshold(schedule: TSASchedule, *, step: int, steps: int, classes: int) -> float:
    """The threshold eta_t of training signal annealing, from 1/K towards 1.

    Xie et al. 2019 (arXiv 1904.12848), Section 3.3: eta_t = alpha_t (1 - 1/K) + 1/K.
    """
    share = step / steps
    match schedule:
        case "linear":
            alpha = share
        case "log":
            alpha = 1 - math.exp(-5 * share)
        case "exp":
            alpha = math.exp(5 * (share - 1))
    return alpha * (1 - 1 / classes) + 1 / classes


def ramp_up(*, step: int, steps: int, share: float) -> float:
    """w(t) = exp(-5 (1 - t / T_ramp)^2) over the first `share` of the run, then 1.

    Laine & Aila 2016 (arXiv 1610.02242), Section 2.1.
    """
    length = share * steps
    if length <= 0 or step >= length:
        return 1.0
    return math.exp(-5 * (1 - step / length) ** 2)


def linear_ramp(*, step: int, steps: int, start: float = 0.0, end: float) -> float:
    """0 up to the share `start` of the run, then rising linearly to 1 at the share `end`."""
    share = step / steps
    if share >= end:
        return 1.0
    return 0.0 if share <= start else (share - start) / (end - start)


def linear_decay(*, step: int, steps: int, warmup_steps: int) -> float:
    """The factor on the learning rate: linear warm-up, then linear decay to 0 at the last step (as BERT)."""
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    return max(0.0, (steps - step) / max(1, steps - warmup_steps))


def cosine_7_16(*, step: int, steps: int, warmup_steps: int) -> float:
    """The factor on the learning rate: linear warm-up, then cos(7/16 pi t), t from 0 to 1.

    Sohn et al. 2020 (FixMatch, arXiv 2001.07685), Section 2.4. It ends at 0.195, not at 0.
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    return math.cos(7 / 16 * math.pi * (step - warmup_steps) / max(1, steps - warmup_steps))


def cosine_decay(*, step: int, steps: int, warmup_steps: int) -> float:
    """The factor on the learning rate: linear warm-up, then half a cosine down to 0 at the last step.

    Loshchilov & Hutter 2017 (SGDR, arXiv 1608.03983), Equation 5, without restarts.
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    return 0.5 * (1 + math.cos(math.pi * (step - warmup_steps) / max(1, steps - warmup_steps)))


def constant_rate(*, step: int, steps: int, warmup_steps: int) -> float:
    """The factor on the learning rate: linear warm-up, then 1."""
    return min(1.0, (step + 1) / max(1, warmup_steps))


SCHEDULES: dict[Schedule, Callable[..., float]] = {
    "linear": linear_decay,
    "cosine": cosine_decay,
    "cosine-7-16": cosine_7_16,
    "constant": constant_rate,
}
"""The arguments of each are step, steps and warmup_steps."""
