"""The interval of a difference between two methods where both the seeds and the test rows are resampled."""

import math

import numpy as np

from text_uda.keyed_random import keyed_generator
from text_uda.report.seed_statistics import t_quantile

DRAWS = 4000  # 100 of them lie beyond each end of the interval
LEAST_SEEDS = 3  # of two seeds, half of the draws take one of them twice, and none goes beyond that
NORMAL_QUANTILE = 1.959963984540054  # 97.5%, the limit of Student's t for many degrees of freedom
_CHUNK = 100  # draws computed at a time


def pigeonhole_interval(values: np.ndarray, *key: object, draws: int = DRAWS) -> tuple[float, float]:
    """The 95% interval of the mean over seeds and test rows, both of which are a sample.

    The pigeonhole bootstrap (Owen 2007, "The pigeonhole bootstrap", Annals of Applied Statistics 1(2), arXiv
    0712.1111): a draw takes S seeds and N rows, each with replacement and independently of the other, and the mean over
    all pairs of them. The interval is too wide rather than too narrow, as no resampling of crossed factors is exact
    (McCullagh 2000). `scipy.stats.bootstrap` resamples one factor only.

    It departs from the paper in the part of a draw that comes from the seeds. Resampling few seeds gives a spread too
    small by sqrt((S - 1) / S), and percentiles lack Student's tails: this part is widened by sqrt(S / (S - 1)) t / z
    (as Hesterberg 2015, "What Teachers Should Know About the Bootstrap", arXiv 1411.5279, does to percentiles). Where
    the rows add no doubt and there are three seeds or more, the width is within 10% of Student's interval over seeds.
    With two seeds it is 28% narrower, so a report gives none (LEAST_SEEDS); with one it covers the rows alone.

    Rows with the same values over all seeds are drawn together: time is draws x distinct rows, and memory is the
    values and one chunk of draws.

    Args:
        values: (S, N) of S seeds and N rows: error of the one method minus that of the other, in {-1, 0, 1}.
        key: what the draws depend on, besides the shape of the values.
    """
    seeds, rows = values.shape
    seed_means = values.mean(axis=1, dtype=np.float64)  # (S,)
    mean = float(seed_means.mean())
    widening = math.sqrt(seeds / (seeds - 1)) * t_quantile(seeds - 1) / NORMAL_QUANTILE if seeds > 1 else 1.0
    patterns, counts = np.unique(values, axis=1, return_counts=True)  # (S, P), (P,)
    generator = keyed_generator("pigeonhole", seeds, rows, *key)
    means = []
    for start in range(0, draws, _CHUNK):
        size = min(_CHUNK, draws - start)
        row_counts = generator.multinomial(rows, counts / rows, size=size)  # (D, P)
        resampled_means = row_counts @ patterns.astype(np.float64).T / rows  # (D, S)
        weights = generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=size) / seeds  # (D, S)
        seed_part = weights @ seed_means
        means.append(mean + widening * (seed_part - mean) + (weights * resampled_means).sum(axis=1) - seed_part)
    low, high = np.quantile(np.concatenate(means), (0.025, 0.975))
    return float(low), float(high)
