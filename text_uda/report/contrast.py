"""One method against another, on the seeds that both have."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from text_uda.report.resampling import LEAST_SEEDS, pigeonhole_interval
from text_uda.report.seed_statistics import Estimate, estimate, holm, mcnemar, paired_t_test

Errors = Mapping[int, float]
"""Test error in percent, by seed."""
Pair = tuple[str, str]
"""A method, and the one it is compared with."""
Rights = Mapping[int, np.ndarray]
"""By seed, (N,) share of its runs that get each test row right: 0 or 1 for a single run."""


@dataclass(frozen=True)
class Contrast:
    """Test error of a method minus that of another, in percent of the test rows.

    Paired: a seed draws the same split and head for all methods, and its effect cancels out.
    """

    differences: dict[int, float]
    """By seed."""
    change: Estimate | None
    """Mean with Student's interval, for other seeds on these test rows."""
    p: float | None
    """Of the paired t test, Holm-adjusted over the pairs, for other seeds on these test rows."""
    seeds_and_rows: tuple[float, float] | None
    """95% interval by the pigeonhole bootstrap, for other seeds and test rows. None with fewer than three seeds."""
    p_rows: float | None
    """Of McNemar's test, Holm-adjusted over the pairs, for these two models on other test rows. With one seed only."""


def contrasts(
    errors: Mapping[str, Errors], rights: Mapping[str, Rights], pairs: Sequence[Pair], *key: object
) -> dict[Pair, Contrast]:
    """A contrast for each pair; the p values are adjusted over all pairs.

    Args:
        errors: by method.
        rights: of the methods whose runs keep their answers; all on the same test rows.
        key: what the random draws depend on.
    """
    differences = {pair: _differences(*(errors[method] for method in pair)) for pair in pairs}
    p_seeds = {pair: paired_t_test(list(by_seed.values())) for pair, by_seed in differences.items()}
    p_rows: dict[Pair, float | None] = {}
    intervals: dict[Pair, tuple[float, float] | None] = {}
    for pair, by_seed in differences.items():
        first, second = (rights.get(method, {}) for method in pair)
        have_answers = len(by_seed) > 0 and by_seed.keys() <= first.keys() & second.keys()
        p_rows[pair] = intervals[pair] = None
        if have_answers and len(by_seed) == 1:
            (seed,) = by_seed
            p_rows[pair] = _row_test(first[seed], second[seed])
        elif have_answers and len(by_seed) >= LEAST_SEEDS:
            values = np.stack([second[seed] - first[seed] for seed in by_seed])
            low, high = pigeonhole_interval(values, *key, *pair)
            intervals[pair] = (100 * low, 100 * high)
    p_seeds, p_rows = _adjusted(p_seeds), _adjusted(p_rows)
    return {
        pair: Contrast(by_seed, estimate(list(by_seed.values())), p_seeds.get(pair), intervals[pair], p_rows.get(pair))
        for pair, by_seed in differences.items()
    }


def _differences(first: Errors, second: Errors) -> dict[int, float]:
    return {seed: first[seed] - second[seed] for seed in sorted(first.keys() & second.keys())}


def _row_test(first: np.ndarray, second: np.ndarray) -> float | None:
    """None where a seed has several runs: a row is then neither right nor wrong."""
    binary = all(np.isin(right, (0, 1)).all() for right in (first, second))
    return mcnemar(first == 1, second == 1) if binary else None


def _adjusted(p_values: Mapping[Pair, float | None]) -> dict[Pair, float | None]:
    return dict(holm({pair: p for pair, p in p_values.items() if p is not None}))
