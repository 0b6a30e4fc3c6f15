"""Could a difference between two methods be luck? Tests of pairs, and what several of them come to together."""

import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from text_uda.report.distributions import binomial_lower, t_two_sided
from text_uda.report.interval import deviation

_Name = TypeVar("_Name")

_NO_SPREAD = 1e-9  # of errors in percent: what rounding leaves of equal differences


def paired_t_test(differences: Sequence[float]) -> float | None:
    """The two-sided p of Student's paired t test (Student 1908): would other seeds show a difference at all?

    Seeds are drawn, test rows given. None for fewer than two seeds, and for differences that are all equal: they say
    nothing of how far others would spread.
    """
    count = len(differences)
    if count < 2:
        return None
    mean = math.fsum(differences) / count
    spread = deviation(differences, mean)
    if spread < _NO_SPREAD:
        return None
    return t_two_sided(mean / (spread / math.sqrt(count)), count - 1)


def mcnemar(own_right: np.ndarray, other_right: np.ndarray) -> float:
    """The two-sided p of the exact test of McNemar (1947): would other test rows tell these two models apart?

    Two trained models are given, test rows drawn: it says nothing of what the methods do with another seed. Of the rows
    that just one of them gets right, either has half by chance.

    Args:
        own_right: (N,) bool.
        other_right: (N,) bool, of the same rows.
    """
    own = int(np.count_nonzero(own_right & ~other_right))
    other = int(np.count_nonzero(other_right & ~own_right))
    return min(1.0, 2 * binomial_lower(min(own, other), own + other)) if own + other else 1.0


def holm(p_values: Mapping[_Name, float]) -> dict[_Name, float]:
    """Holm's (1979) adjusted p: one at or below 5% among them all is luck in at most 5% of such comparisons.

    The smallest is multiplied by their number, the next by one less and so on, and none falls below one before it.
    """
    adjusted: dict[_Name, float] = {}
    so_far = 0.0
    for place, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        so_far = max(so_far, min(1.0, (len(p_values) - place) * p))
        adjusted[name] = so_far
    return {name: adjusted[name] for name in p_values}
