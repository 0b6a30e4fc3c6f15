"""Means over seeds with their 95% intervals: what would other seeds come to on these test rows?

Seeds, which draw the split, the head and the batches, count as independent; the test rows are given. What other test
rows would say is asked in `resampling`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from text_uda.report.distributions import t_quantile


@dataclass(frozen=True)
class Estimate:
    """A mean, and half the width of its 95% interval; None when one value says nothing of the spread."""

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


def signed(value: float, digits: int = 1) -> str:
    return f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def estimate(values: Sequence[float]) -> Estimate | None:
    """The mean of independent values with Student's interval; None without values."""
    count = len(values)
    if not count:
        return None
    mean = math.fsum(values) / count
    if count == 1:
        return Estimate(mean, None, 1)
    return Estimate(mean, t_quantile(count - 1) * deviation(values, mean) / math.sqrt(count), count)


def deviation(values: Sequence[float], mean: float) -> float:
    """The standard deviation that a sample of two or more lets one expect."""
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))
