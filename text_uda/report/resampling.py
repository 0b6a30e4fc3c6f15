"""How sure is a difference when neither the seeds nor the test rows are given: both are drawn anew."""

import math

import numpy as np

from text_uda.keyed_random import keyed_generator
from text_uda.report.distributions import NORMAL_QUANTILE, t_quantile

DRAWS = 4000  # of which 100 lie beyond either end of the interval
LEAST_SEEDS = 3  # of two, half of the draws take one of them twice, and none goes beyond that
_TOGETHER = 100  # draws made at a time


def pigeonhole_interval(values: np.ndarray, *key: object, draws: int = DRAWS) -> tuple[float, float]:
    """The 95% interval of the mean of values by seed and test row, where others of both might have come.

    The pigeonhole bootstrap (Owen 2007, "The pigeonhole bootstrap", Annals of Applied Statistics 1(2), arXiv
    0712.1111): a draw takes as many seeds and as many rows as there are, each with replacement and the one regardless
    of the other, and the mean over all pairs of them. It errs to the wide side, as no resampling of crossed factors is
    exact (McCullagh 2000).

    It departs from the paper in the seeds' own part of a draw. Few of them, resampled, spread by sqrt((S - 1) / S) too
    little, and percentiles know nothing of Student's tails: that part is widened by sqrt(S / (S - 1)) t / z (as
    Hesterberg 2015, "What Teachers Should Know About the Bootstrap", arXiv 1411.5279, does to percentiles). Where rows
    leave no doubt and there are three seeds or more it comes as near as 10% to the width of Student's interval over
    seeds. With two it is 28% narrower, so a report gives none (LEAST_SEEDS); with one it is of the rows alone.

    Rows on which the seeds agree in all are drawn together. So time is draws x patterns, of which there are no more
    than rows, and memory that of the values and of some draws.

    Args:
        values: (S, N) of S seeds and N rows: own error minus the other's, in {-1, 0, 1}.
        key: what the draws depend on, besides the values.
    """
    seeds, rows = values.shape
    of_seed = values.mean(axis=1, dtype=np.float64)  # (S,)
    mean = float(of_seed.mean())
    wider = math.sqrt(seeds / (seeds - 1)) * t_quantile(seeds - 1) / NORMAL_QUANTILE if seeds > 1 else 1.0
    patterns, counts = np.unique(values, axis=1, return_counts=True)  # (S, P), (P,)
    generator = keyed_generator("pigeonhole", seeds, rows, *key)
    drawn = []
    for done in range(0, draws, _TOGETHER):
        count = min(_TOGETHER, draws - done)
        taken = generator.multinomial(rows, counts / rows, size=count)  # (D, P)
        by_seed = taken @ patterns.astype(np.float64).T / rows  # (D, S)
        weights = generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=count) / seeds  # (D, S)
        own = weights @ of_seed
        drawn.append(mean + wider * (own - mean) + (weights * by_seed).sum(axis=1) - own)
    low, high = np.quantile(np.concatenate(drawn), (0.025, 0.975))
    return float(low), float(high)
