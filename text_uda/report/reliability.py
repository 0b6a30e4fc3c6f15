"""Reliability diagram: how often the model is right where it gives its class so much probability.

Guo et al. 2017 (arXiv 1706.04599): equal bins of the largest probability, and Eq. 3, the expected calibration error.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from text_uda.report.chart import Chart, Numbers, keys_of, number
from text_uda.report.comparison import Comparison, Group
from text_uda.report.palette import style

if TYPE_CHECKING:
    from text_uda.report.drawing import Canvas


@dataclass(frozen=True)
class Bin:
    """Test rows of all seeds whose largest probability lies in (low, high]."""

    low: float
    high: float
    count: int
    confidence: float
    """Mean over the rows, as the accuracy is."""
    accuracy: float


def bins(group: Group) -> list[Bin]:
    """Of the runs of a group that have them, summed; bins without rows are left out."""
    found: dict[tuple[float, float], list[tuple[int, float, float]]] = {}
    for run in group.runs:
        for one in (run.result.get("calibration") or {}).get("bins", ()):
            if one["count"]:
                found.setdefault((one["low"], one["high"]), []).append(
                    (one["count"], one["confidence"], one["accuracy"])
                )
    made = []
    for (low, high), parts in sorted(found.items()):
        count = sum(part[0] for part in parts)
        confidence, accuracy = (math.fsum(part[0] * part[i] for part in parts) / count for i in (1, 2))
        made.append(Bin(low, high, count, confidence, accuracy))
    return made


def expected_error(found: list[Bin]) -> float:
    """Eq. 3 over the bins, in percent."""
    gaps = math.fsum(one.count * abs(one.accuracy - one.confidence) for one in found)
    return 100 * gaps / sum(one.count for one in found)


def reliability(comparison: Comparison) -> Chart | None:
    found = {group: own for group in comparison.groups if (own := bins(group))}
    if not found:
        return None
    rows = [
        [
            group.label,
            f"{number(one.low)} to {number(one.high)}",
            f"{one.count:,}",
            number(100 * one.confidence, 1),
            number(100 * one.accuracy, 1),
        ]
        for group, own in found.items()
        for one in own
    ]
    errors = {group: expected_error(own) for group, own in found.items()}
    told = ", ".join(f"{group.label} {error:.1f}" for group, error in errors.items())
    return Chart(
        name="reliability",
        title="Test rows that are right, %",
        explained="Against the probability that the model gives its class; a larger mark has more rows. Under the "
        "diagonal the model is surer than it is right. All seeds together.",
        told=f"Share of test rows that are right against the probability given; mean distance in points: {told}",
        numbers=Numbers(["method", "probability", "rows", "mean probability %", "right %"], rows),
        draw=lambda canvas: _draw(canvas, found),
        keys=keys_of(list(found)),
    )


def _draw(canvas: "Canvas", found: dict[Group, list[Bin]]) -> None:
    axes = canvas.axes()
    axes.plot((0, 100), (0, 100), color=canvas.colour("rule"), linewidth=1, linestyle=(0, (4, 3)))
    least = min(100 * min(one.confidence, one.accuracy) for own in found.values() for one in own)
    low = 10 * math.floor(min(least, 90) / 10)
    axes.set(xlim=(low, 101.5), ylim=(low, 103), xlabel="probability given, %")
    for group, own in found.items():
        look = style(group.colour)
        rows = sum(one.count for one in own)
        x, y = ([100 * one.confidence for one in own], [100 * one.accuracy for one in own])
        title = canvas.titled(f"{group.label}: off by {expected_error(own):.1f} points")
        axes.plot(x, y, color=look.colour, linestyle=look.dashes, linewidth=1.3, alpha=0.75, gid=title)
        for one in own:
            size = 3 + 9 * math.sqrt(one.count / rows)
            place = (100 * one.confidence, 100 * one.accuracy)
            axes.plot(*place, "o", markersize=size, markeredgewidth=0, color=look.colour, alpha=0.7, clip_on=False)
