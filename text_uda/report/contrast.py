"""Each method of a comparison held against the baseline, on the seeds that both have."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from text_uda.report.interval import Estimate, estimate
from text_uda.report.resampling import pigeonhole_interval
from text_uda.report.significance import holm, mcnemar, paired_t_test

Errors = Mapping[int, float]
"""Test error in percent, by seed."""
Rights = Mapping[int, np.ndarray]
"""(N,) share of the runs of a seed that get each test row right: 0 or 1 where a seed was run once."""


@dataclass(frozen=True)
class Contrast:
    """Test error of a method minus that of the baseline, in percent of the test rows.

    Paired, since a seed draws the same split and head for all: its luck cancels out.
    """

    differences: dict[int, float]
    """By seed."""
    change: Estimate | None
    """Mean with Student's interval: other seeds, these test rows."""
    p: float | None
    """Of the paired t test, adjusted by Holm over the methods: other seeds, these test rows."""
    seeds_and_rows: tuple[float, float] | None
    """95% interval by the pigeonhole bootstrap: other seeds and other test rows. None with one seed."""
    p_rows: float | None
    """Of McNemar's test, adjusted by Holm over the methods: these two models, other test rows. With one seed only."""


def contrasts(
    errors: Mapping[str, Errors], rights: Mapping[str, Rights], baseline: str, *key: object
) -> dict[str, Contrast]:
    """By the labels of the methods.

    Args:
        errors: of the methods and the baseline.
        rights: of those that keep their answers; all on the same test rows.
        key: what the random draws depend on.
    """
    differences = {
        name: {seed: own[seed] - errors[baseline][seed] for seed in sorted(own.keys() & errors[baseline].keys())}
        for name, own in errors.items()
        if name != baseline
    }
    over_seeds = {name: paired_t_test(list(found.values())) for name, found in differences.items()}
    over_rows: dict[str, float | None] = {}
    intervals: dict[str, tuple[float, float] | None] = {}
    for name, found in differences.items():
        own, other = rights.get(name, {}), rights.get(baseline, {})
        kept = len(found) > 0 and found.keys() <= own.keys() & other.keys()
        over_rows[name] = intervals[name] = None
        if kept and len(found) == 1:
            (seed,) = found
            over_rows[name] = _tested(own[seed], other[seed])
        elif kept:
            values = np.stack([other[seed] - own[seed] for seed in found])
            low, high = pigeonhole_interval(values, *key, name)
            intervals[name] = (100 * low, 100 * high)
    adjusted, adjusted_rows = _adjusted(over_seeds), _adjusted(over_rows)
    return {
        name: Contrast(
            found, estimate(list(found.values())), adjusted.get(name), intervals[name], adjusted_rows.get(name)
        )
        for name, found in differences.items()
    }


def _tested(own: np.ndarray, other: np.ndarray) -> float | None:
    """None where a seed was run more than once: a row is then neither right nor wrong."""
    whole = all(np.isin(right, (0, 1)).all() for right in (own, other))
    return mcnemar(own == 1, other == 1) if whole else None


def _adjusted(p_values: Mapping[str, float | None]) -> dict[str, float]:
    return holm({name: p for name, p in p_values.items() if p is not None})
