"""A method held against another, on the seeds that both have."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from text_uda.report.interval import Estimate, estimate
from text_uda.report.resampling import LEAST_SEEDS, pigeonhole_interval
from text_uda.report.significance import holm, mcnemar, paired_t_test

Errors = Mapping[int, float]
"""Test error in percent, by seed."""
Pair = tuple[str, str]
"""A method, and what it is held against."""
Rights = Mapping[int, np.ndarray]
"""(N,) share of the runs of a seed that get each test row right: 0 or 1 where a seed was run once."""


@dataclass(frozen=True)
class Contrast:
    """Test error of a method minus that of another, in percent of the test rows.

    Paired, since a seed draws the same split and head for all: its luck cancels out.
    """

    differences: dict[int, float]
    """By seed."""
    change: Estimate | None
    """Mean with Student's interval: other seeds, these test rows."""
    p: float | None
    """Of the paired t test, adjusted by Holm over the pairs: other seeds, these test rows."""
    seeds_and_rows: tuple[float, float] | None
    """95% interval by the pigeonhole bootstrap: other seeds and other test rows. None with fewer than three seeds."""
    p_rows: float | None
    """Of McNemar's test, adjusted by Holm over the pairs: these two models, other test rows. With one seed only."""


def contrasts(
    errors: Mapping[str, Errors], rights: Mapping[str, Rights], pairs: Sequence[Pair], *key: object
) -> dict[Pair, Contrast]:
    """Of each pair; the p values are adjusted over all of them.

    Args:
        errors: by method.
        rights: of the methods that keep their answers; all on the same test rows.
        key: what the random draws depend on.
    """
    differences = {pair: _by_seed(*(errors[method] for method in pair)) for pair in pairs}
    over_seeds = {pair: paired_t_test(list(found.values())) for pair, found in differences.items()}
    over_rows: dict[Pair, float | None] = {}
    intervals: dict[Pair, tuple[float, float] | None] = {}
    for pair, found in differences.items():
        own, other = (rights.get(method, {}) for method in pair)
        kept = len(found) > 0 and found.keys() <= own.keys() & other.keys()
        over_rows[pair] = intervals[pair] = None
        if kept and len(found) == 1:
            (seed,) = found
            over_rows[pair] = _tested(own[seed], other[seed])
        elif kept and len(found) >= LEAST_SEEDS:
            values = np.stack([other[seed] - own[seed] for seed in found])
            low, high = pigeonhole_interval(values, *key, *pair)
            intervals[pair] = (100 * low, 100 * high)
    adjusted, adjusted_rows = _adjusted(over_seeds), _adjusted(over_rows)
    return {
        pair: Contrast(
            found, estimate(list(found.values())), adjusted.get(pair), intervals[pair], adjusted_rows.get(pair)
        )
        for pair, found in differences.items()
    }


def _by_seed(own: Errors, other: Errors) -> dict[int, float]:
    return {seed: own[seed] - other[seed] for seed in sorted(own.keys() & other.keys())}


def _tested(own: np.ndarray, other: np.ndarray) -> float | None:
    """None where a seed was run more than once: a row is then neither right nor wrong."""
    whole = all(np.isin(right, (0, 1)).all() for right in (own, other))
    return mcnemar(own == 1, other == 1) if whole else None


def _adjusted(p_values: Mapping[Pair, float | None]) -> dict[Pair, float]:
    return holm({pair: p for pair, p in p_values.items() if p is not None})
