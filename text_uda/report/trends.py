"""Error against something that was varied: the number of labels, one setting, how much the paraphrases change."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from text_uda.report.chart import Chart, Numbers, cells, keys_of, number
from text_uda.report.comparison import Comparison, Group
from text_uda.report.interval import Estimate
from text_uda.report.palette import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from text_uda.report.drawing import Canvas

LEAST_SPREAD = 1.0  # percent of the words; methods that change as much as each other say nothing of how much

_NAMES = {
    "augmentation.temperature": "sampling temperature",
    "settings.unlabeled_ratio": "unlabeled rows a labeled one",
    "data.unlabeled": "unlabeled texts",
}


@dataclass(frozen=True)
class Curve:
    """The error of one method at several values of what was varied."""

    label: str
    colour: int
    points: list[tuple[float, Estimate]]


def by_labels(comparisons: Sequence[Comparison]) -> list[tuple[str, Chart]]:
    """A figure for each data set and encoder with two numbers of labels or more, and its name."""
    gathered: dict[str, list[Comparison]] = {}
    for one in comparisons:
        data = one.config["data"]
        gathered.setdefault(json.dumps([data["name"], data["classes"], one.model]), []).append(one)
    found = []
    for same in gathered.values():
        if len({one.config["labels"] for one in same}) < 2:
            continue
        curves: dict[str, Curve] = {}
        for one in sorted(same, key=lambda one: one.config["labels"]):
            for group in one.groups:
                if (made := group.estimate("test_error")) is not None:
                    curve = curves.setdefault(group.label, Curve(group.label, group.colour, []))
                    curve.points.append((float(one.config["labels"]), made))
        if not curves:
            continue
        ordered = sorted(curves.values(), key=lambda curve: (curve.colour, curve.label))
        several = any(other is not same and other[0].config["data"]["name"] == same[0].config["data"]["name"]
                      for other in gathered.values())  # fmt: skip
        name = same[0].config["data"]["name"] + (f", {same[0].model}" if several else "")
        found.append((name, _chart("error-by-labels", "labels", ordered, wide=True)))
    return found


def by_settings(comparison: Comparison) -> list[Chart]:
    """A figure for each number in the settings that is all by which the groups of a method differ."""
    found: dict[str, list[Curve]] = {}
    methods: dict[str, list[Group]] = {}
    for group in comparison.groups:
        methods.setdefault(group.method, []).append(group)
    for method, groups in methods.items():
        settings = [group.settings for group in groups]
        names = {name for own in settings for name in own if len({other.get(name) for other in settings}) > 1}
        values = [_number(own.get(name)) for name in names for own in settings]
        if len(names) != 1 or None in values:
            continue
        made = [(value, group.estimate("test_error")) for value, group in zip(values, groups, strict=True)]
        points = sorted(
            ((value, one) for value, one in made if value is not None and one is not None), key=lambda point: point[0]
        )
        if points:
            found.setdefault(names.pop(), []).append(Curve(method, groups[0].colour, points))
    base = comparison.baseline
    level = base.estimate("test_error") if base else None
    return [
        _chart(f"error-by-{name.rpartition('.')[2].replace('_', '-')}", _named(name), curves, level=level)
        for name, curves in sorted(found.items())
    ]


def _named(setting: str) -> str:
    return _NAMES.get(setting, setting.rpartition(".")[2].replace("_", " "))


def _number(text: str | None) -> float | None:
    """A place on an axis; None for what has none, such as infinity."""
    try:
        found = math.nan if text is None else float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def _chart(name: str, varied: str, curves: list[Curve], *, level: Estimate | None = None, wide: bool = False) -> Chart:
    rows = [[c.label, f"{x:,g}", str(made.count), *cells(made)] for c in curves for x, made in c.points]
    explained = "Mean over the seeds; the band is its 95% interval (Student's t), where there are two seeds or more."
    if level is not None:
        explained += " The dotted line has labels alone."
    means = [made.mean for curve in curves for _, made in curve.points]
    return Chart(
        name=name,
        title="Test error, %",
        explained=explained,
        told=f"Test error against {varied}, {len(curves)} methods, from {min(means):.1f} to {max(means):.1f} percent",
        numbers=Numbers(["method", varied, "seeds", "mean", "low", "high"], rows),
        draw=_drawer(varied, curves, level),
        keys=[(curve.label, curve.colour) for curve in curves],
        shape="wide" if wide else "small",
    )


def _drawer(varied: str, curves: list[Curve], level: Estimate | None) -> "Callable[[Canvas], None]":
    def draw(canvas: "Canvas") -> None:
        canvas.height = 216 if canvas.narrow else 320
        axes = canvas.axes(right=16)
        places = sorted({x for curve in curves for x, _ in curve.points})
        ends = [end for curve in curves for _, made in curve.points for end in (made.mean, made.low, made.high)]
        means = [made.mean for curve in curves for _, made in curve.points] + ([level.mean] if level else [])
        # One wild interval of two seeds must not flatten all curves.
        room = 1.5 * (max(means) - min(means)) + 2
        shown = [min(max(end, min(means) - room), max(means) + room) for end in ends] + means
        axes.set(ylim=canvas.bounds(shown, least=0.0, most=100.0), xlabel=varied)
        if logarithmic := places[0] > 0 and places[-1] >= 8 * places[0]:
            axes.set_xscale("log")
        _ticks(axes, places, logarithmic)
        if level is not None:
            axes.axhline(level.mean, color=style(0).colour, linewidth=1.5, linestyle=(0, (1.2, 2)))
        for curve in curves:
            look = style(curve.colour)
            x, y = ([x for x, _ in curve.points], [made.mean for _, made in curve.points])
            known = [(x, made.low, made.high) for x, made in curve.points if made.half_width is not None]
            if len(known) > 1:
                across, low, high = zip(*known, strict=True)
                axes.fill_between(across, low, high, color=look.colour, alpha=0.14, linewidth=0)
            axes.plot(
                *(x, y),
                color=look.colour,
                linestyle=look.dashes,
                linewidth=2,
                marker=look.marker,
                markersize=5.5,
                markeredgewidth=0,
                clip_on=False,
                gid=canvas.titled(curve.label),
            )

    return draw


def _ticks(axes: "Axes", places: list[float], logarithmic: bool) -> None:
    """At what was tried, as far as their numbers do not run into each other."""
    axes.minorticks_off()
    axes.margins(x=0.04)
    low, high = (places[0] / 1.15, places[-1] * 1.15) if logarithmic else (places[0], places[-1])
    if not logarithmic:
        room = 0.05 * (high - low) or 0.5
        low, high = low - room, high + room
    axes.set_xlim(low, high)
    across = [axes.transData.transform((place, 0))[0] for place in places]
    shown: list[int] = []
    for index, place in enumerate(across):
        wide = 4 + 3.6 * len(f"{places[index]:,g}")
        if not shown or place - across[shown[-1]] > wide + 3.6 * len(f"{places[shown[-1]]:,g}"):
            shown.append(index)
    axes.set_xticks([places[index] for index in shown], [f"{places[index]:,g}" for index in shown])


def change_against_gain(comparison: Comparison) -> Chart | None:
    """A point a method: how much of the words its paraphrases change, and what that did to the test error."""
    found = []
    for group in comparison.groups:
        change, gain = group.estimate("change_rate"), comparison.against_baseline(group)
        if change is not None and gain is not None:
            found.append((group, 100 * change.mean, gain))
    changes = [change for _, change, _ in found]
    if not found or max(changes) - min(changes) < LEAST_SPREAD:
        return None
    told = "; ".join(f"{group.label} {change:.0f}, {gain.text(sign=True)}" for group, change, gain in found)
    return Chart(
        name="gain-by-change",
        title="Test error against labels alone, points",
        explained="Below 0 the method helps. Paired by seed, with the 95% interval; across, the mean share of the "
        "words that a paraphrase changes.",
        told=f"Percent of words changed and difference of the test error to labels alone: {told}",
        numbers=Numbers(
            ["method", "words changed %", "difference", "low", "high"],
            [[group.label, number(change, 1), *cells(gain)] for group, change, gain in found],
        ),
        draw=lambda canvas: _draw_gain(canvas, found),
        keys=keys_of([group for group, _, _ in found]),
    )


def _draw_gain(canvas: "Canvas", found: list[tuple[Group, float, Estimate]]) -> None:
    axes = canvas.axes()
    ends = [0.0, *(end for _, _, gain in found for end in (gain.mean, gain.low, gain.high))]
    most = max(change for _, change, _ in found)
    axes.set(ylim=canvas.bounds(ends), xlim=(0, max(10.0, 1.15 * most)), xlabel="words changed, %")
    axes.axhline(0, color=canvas.colour("rule"), linewidth=1)
    for group, change, gain in found:
        look = style(group.colour)
        if gain.half_width is not None:
            axes.plot((change, change), (gain.low, gain.high), color=look.colour, linewidth=2, alpha=0.45)
        title = canvas.titled(f"{group.label}: {gain.text(sign=True)}")
        axes.plot(change, gain.mean, look.marker, markersize=8, markeredgewidth=0, color=look.colour, gid=title)
    if len(found) <= 6:
        low, high = axes.get_ylim()
        taken: list[tuple[float, float]] = []
        for group, change, gain in sorted(found, key=lambda item: item[2].mean):
            left = change > 0.55 * axes.get_xlim()[1]
            at = gain.mean
            while any(abs(at - other) < 0.075 * (high - low) and abs(change - x) < 40 for x, other in taken):
                at += 0.02 * (high - low)
            taken.append((change, at))
            place = {"dx": -8, "ha": "right"} if left else {"dx": 8, "ha": "left"}
            canvas.text(
                axes, change, at, group.label, va="center", letters=24, color=style(group.colour).colour, **place
            )
