"""Means over seeds with their 95% intervals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

# The 97.5% quantile of Student's t for 1 to 30 degrees of freedom.
_T = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)


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
        mean = f"{self.mean:{'+' if sign else ''}.{digits}f}".replace("-", "\N{MINUS SIGN}")
        return mean if self.half_width is None else f"{mean} ± {self.half_width:.{digits}f}"


def estimate(values: Sequence[float]) -> Estimate | None:
    """The mean of independent values with Student's interval; None without values."""
    count = len(values)
    if not count:
        return None
    mean = math.fsum(values) / count
    if count == 1:
        return Estimate(mean, None, 1)
    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    return Estimate(mean, t_quantile(count - 1) * math.sqrt(variance / count), count)


def t_quantile(degrees: int) -> float:
    """The 97.5% quantile of Student's t; above 30 degrees of freedom within 0.002 of it."""
    return _T[degrees - 1] if degrees <= len(_T) else 1.96 + 2.4 / degrees
