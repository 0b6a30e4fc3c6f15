"""Reliability diagram: the accuracy of predictions against the probability that the model gives them.

Guo et al. 2017 (arXiv 1706.04599): bins of equal width of the largest probability, and Eq. 3, the expected calibration
error.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from text_uda.report.chart import Chart, Numbers, legend_keys, number
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
    """Mean over the rows."""
    accuracy: float


def merged_bins(group: Group) -> list[Bin]:
    """The bins of all runs of a group, added up; bins without rows are left out."""
    parts: dict[tuple[float, float], list[dict[str, float]]] = {}
    for run in group.runs:
        for part in (run.result.get("calibration") or {}).get("bins", ()):
            if part["count"]:
                parts.setdefault((part["low"], part["high"]), []).append(part)
    bins = []
    for (low, high), same in sorted(parts.items()):
        count = int(sum(part["count"] for part in same))
        confidence, accuracy = (
            math.fsum(part["count"] * part[name] for part in same) / count for name in ("confidence", "accuracy")
        )
        bins.append(Bin(low, high, count, confidence, accuracy))
    return bins


def expected_error(bins: list[Bin]) -> float:
    """Eq. 3 over the bins, in percent."""
    gaps = math.fsum(part.count * abs(part.accuracy - part.confidence) for part in bins)
    return 100 * gaps / sum(part.count for part in bins)


def reliability_diagram(comparison: Comparison) -> Chart | None:
    """None where no run recorded its calibration."""
    by_group = {group: bins for group in comparison.groups if (bins := merged_bins(group))}
    if not by_group:
        return None
    rows = [
        [
            group.label,
            f"{number(part.low)} to {number(part.high)}",
            f"{part.count:,}",
            number(100 * part.confidence, 1),
            number(100 * part.accuracy, 1),
        ]
        for group, bins in by_group.items()
        for part in bins
    ]
    errors = ", ".join(f"{group.label} {expected_error(bins):.1f}" for group, bins in by_group.items())
    return Chart(
        name="reliability",
        title="Accuracy, %",
        caption="Accuracy against the probability that the model gives its prediction; a larger dot has more test "
        "rows. Below the diagonal the model is overconfident. All seeds together.",
        alt_text=f"Accuracy against the predicted probability; mean distance in points: {errors}",
        numbers=Numbers(["method", "probability", "rows", "mean probability %", "accuracy %"], rows),
        draw=lambda canvas: _draw(canvas, by_group),
        keys=legend_keys(list(by_group)),
    )


def _draw(canvas: "Canvas", by_group: dict[Group, list[Bin]]) -> None:
    axes = canvas.axes()
    axes.plot((0, 100), (0, 100), color=canvas.colour("rule"), linewidth=1, linestyle=(0, (4, 3)))
    least = min(100 * min(part.confidence, part.accuracy) for bins in by_group.values() for part in bins)
    low = 10 * math.floor(min(least, 90) / 10)
    axes.set(xlim=(low, 101.5), ylim=(low, 103), xlabel="predicted probability, %")
    for group, bins in by_group.items():
        group_style = style(group.colour)
        rows = sum(part.count for part in bins)
        x, y = ([100 * part.confidence for part in bins], [100 * part.accuracy for part in bins])
        title = canvas.titled(f"{group.label}: off by {expected_error(bins):.1f} points")
        axes.plot(x, y, color=group_style.colour, linestyle=group_style.dashes, linewidth=1.3, alpha=0.75, gid=title)
        for part in bins:
            size = 3 + 9 * math.sqrt(part.count / rows)
            point = (100 * part.confidence, 100 * part.accuracy)
            axes.plot(
                *point, "o", markersize=size, markeredgewidth=0, color=group_style.colour, alpha=0.7, clip_on=False
            )
