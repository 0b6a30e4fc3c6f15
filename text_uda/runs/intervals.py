"""The uncertainty of an error rate that is measured on few rows."""

import math


def wilson_interval(errors: int, rows: int, *, z: float = 1.959964) -> tuple[float, float]:
    """The 95% interval of an error rate, in percent (Wilson 1927, "Probable Inference", the score interval).

    It holds for independent rows: repeated texts, or several rows of one author, make it too narrow.

    Args:
        errors: wrong rows among `rows`, at least one row.
        z: the quantile of the normal distribution.
    """
    share = errors / rows
    center = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z / (1 + z * z / rows) * math.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows))
    return 100 * max(0.0, center - half), 100 * min(1.0, center + half)
