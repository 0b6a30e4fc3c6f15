"""Statistics over seeds: means with intervals, and tests of paired differences.

Seeds, which draw the split, the head and the batches, count as independent; the test rows are fixed. `resampling`
answers what other test rows would show. The distributions are those of `scipy.special`, which comes with scikit-learn:
the tests of `scipy.stats` would save no line, and take 0.5 s to import. SciPy has no adjustment by Holm.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

_Name = TypeVar("_Name")

_NO_SPREAD = 1e-9  # of errors in percent: equal differences differ by this much after rounding


@dataclass(frozen=True)
class Estimate:
    """A mean, and half the width of its 95% interval; None where one value shows no spread."""

    mean: float
    half_width: float | None
    count: int

    @property
    def low(self) -> float:
        return self.mean - (self.half_width or 0)

    @property
    def high(self) -> float:
        return self.mean + (self.half_width or 0)

    def text(self, digits: int = 1, *, sign: bool = False) -> str:
        mean = signed(self.mean, digits) if sign else f"{self.mean:.{digits}f}".replace("-", "\N{MINUS SIGN}")
        return mean if self.half_width is None else f"{mean} ± {self.half_width:.{digits}f}"

    def paired_words(self) -> str:
        """A sentence on a difference in percent, paired by seed."""
        if self.half_width is None:
            return "This is one seed; another may give another result."
        doubt = f"; {self.count} seeds do not show a difference" if self.low <= 0 <= self.high else ""
        return f"Paired by seed, the difference is {self.text(sign=True)} points{doubt}."


def signed(value: float, digits: int = 1) -> str:
    value = round(value, digits) + 0.0  # no negative zero
    return f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def p_text(p: float) -> str:
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def estimate(values: Sequence[float]) -> Estimate | None:
    """The mean of independent values with Student's interval; None without values."""
    if not values:
        return None
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return Estimate(mean, None, 1)
    return Estimate(mean, t_quantile(len(values) - 1) * _deviation(values, mean) / math.sqrt(len(values)), len(values))


def t_quantile(degrees: int) -> float:
    """The 97.5% quantile of Student's t."""
    from scipy.special import stdtrit  # 0.2 s, which `text-uda --help` need not wait for

    return float(stdtrit(degrees, 0.975))


def paired_t_test(differences: Sequence[float]) -> float | None:
    """The two-sided p of Student's paired t test (Student 1908): would other seeds show a difference?

    None for fewer than two seeds, and for differences that are all equal, which show no spread.
    """
    if len(differences) < 2:
        return None
    mean = math.fsum(differences) / len(differences)
    deviation = _deviation(differences, mean)
    if deviation < _NO_SPREAD:
        return None
    from scipy.special import stdtr

    t = mean / (deviation / math.sqrt(len(differences)))
    return float(2 * stdtr(len(differences) - 1, -abs(t)))


def mcnemar(first_right: np.ndarray, second_right: np.ndarray) -> float:
    """The two-sided p of McNemar's exact test (1947): would other test rows show a difference between two models?

    It holds for these two trained models and says nothing of other seeds. Of the rows that exactly one model gets
    right, each model has half by chance.

    Args:
        first_right: (N,) bool.
        second_right: (N,) bool, of the same rows.
    """
    first = int(np.count_nonzero(first_right & ~second_right))
    second = int(np.count_nonzero(second_right & ~first_right))
    if not first + second:
        return 1.0
    from scipy.special import bdtr

    return min(1.0, float(2 * bdtr(float(min(first, second)), first + second, 0.5)))


def holm(p_values: Mapping[_Name, float]) -> dict[_Name, float]:
    """Holm's adjusted p (1979): with no true difference, any of them is at or below 5% in at most 5% of families.

    The smallest p is multiplied by the number of tests, the next by one less, and so on; none falls below the one
    before it.
    """
    adjusted: dict[_Name, float] = {}
    largest = 0.0
    for rank, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p))
        adjusted[name] = largest
    return {name: adjusted[name] for name in p_values}


def _deviation(values: Sequence[float], mean: float) -> float:
    """The standard deviation of a sample of two values or more."""
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))
