"""Test error against the number of labels, against one setting, and against the share of words changed."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from text_uda.report.chart import Chart, Numbers, interval_cells, legend_keys, number
from text_uda.report.comparison import Comparison, Group
from text_uda.report.grouping import distinguish
from text_uda.report.palette import style
from text_uda.report.seed_statistics import Estimate
from text_uda.report.short_labels import short_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from text_uda.report.drawing import Canvas

MOST_BANDS = 8  # more intervals in one figure hide each other
LEAST_SPREAD = 1.0  # percent of the words; methods with equal change rates show no trend

_NAMES = {
    "augmentation.temperature": "sampling temperature",
    "settings.unlabeled_ratio": "unlabeled rows per labeled row",
    "data.unlabeled": "unlabeled texts",
}


@dataclass(frozen=True)
class Curve:
    """The error of one method at several values of the varied setting."""

    label: str
    colour: int
    points: list[tuple[float, Estimate]]


def by_labels(comparisons: Sequence[Comparison]) -> list[tuple[str, Chart]]:
    """(name, figure) for each data set and encoder with two numbers of labels or more."""
    by_data: dict[str, list[Comparison]] = {}
    for comparison in comparisons:
        data = comparison.config["data"]
        by_data.setdefault(json.dumps([data["name"], data["classes"], comparison.model]), []).append(comparison)
    figures = []
    for same in by_data.values():
        if len({comparison.config["labels"] for comparison in same}) < 2:
            continue
        curves = _curves_by_labels(sorted(same, key=lambda comparison: comparison.config["labels"]))
        if not curves:
            continue
        ordered = sorted(curves, key=lambda curve: (curve.colour, curve.label))
        several = any(other is not same and other[0].config["data"]["name"] == same[0].config["data"]["name"]
                      for other in by_data.values())  # fmt: skip
        name = same[0].config["data"]["name"] + (f", {same[0].model}" if several else "")
        figures.append((name, _chart("error-by-labels", "labels", ordered, wide=True)))
    return figures


def _curves_by_labels(comparisons: Sequence[Comparison]) -> list[Curve]:
    """A curve for each method. One with another augmentation or objective at another number of labels is another."""
    groups: dict[str, dict[str, list[tuple[float, Group]]]] = {}
    for comparison in comparisons:
        for group in comparison.groups:
            settings = json.dumps(_of_method(group), sort_keys=True)
            point = (float(comparison.config["labels"]), group)
            groups.setdefault(group.label, {}).setdefault(settings, []).append(point)
    curves = []
    for label, by_method in groups.items():
        names = distinguish([_of_method(points[0][1]) for points in by_method.values()])
        for name, points in zip(names, by_method.values(), strict=True):
            errors = [(labels, group.estimate("test_error")) for labels, group in points]
            known = [(labels, error) for labels, error in errors if error is not None]
            if known:
                curves.append(Curve(label + name, points[0][1].colour, known))
    return curves


def _of_method(group: Group) -> dict[str, str]:
    """The settings that do not follow from the number of labels."""
    return {
        name: value
        for name, value in group.settings.items()
        if name.startswith(("augmentation", "objectives", "averaging"))
    }


def by_settings(comparison: Comparison) -> list[Chart]:
    """A figure for each numeric setting that is the only difference between the groups of a method that have it."""
    by_setting: dict[str, list[Curve]] = {}
    methods: dict[str, list[Group]] = {}
    for group in comparison.groups:
        methods.setdefault(group.method, []).append(group)
    for method, groups in methods.items():
        for name in _differing(groups):
            on_axis = [
                (value, group) for group in groups if (value := _axis_value(group.settings.get(name))) is not None
            ]
            if _differing([group for _, group in on_axis]) != {name}:
                continue
            errors = ((value, group.estimate("test_error")) for value, group in on_axis)
            points = [(value, error) for value, error in errors if error is not None]
            if points := sorted(points, key=lambda point: point[0]):
                by_setting.setdefault(name, []).append(Curve(method, groups[0].colour, points))
    base = comparison.baseline
    level = base.estimate("test_error") if base else None
    return [
        _chart(f"error-by-{name.rpartition('.')[2].replace('_', '-')}", _axis_label(name), curves, level=level)
        for name, curves in sorted(by_setting.items())
    ]


def _differing(groups: Sequence[Group]) -> set[str]:
    settings = [group.settings for group in groups]
    return {name for one in settings for name in one if len({other.get(name) for other in settings}) > 1}


def _axis_label(setting: str) -> str:
    return _NAMES.get(setting, setting.rpartition(".")[2].replace("_", " "))


def _axis_value(text: str | None) -> float | None:
    """None where the setting has no place on an axis: it is absent, no number, or infinite."""
    try:
        value = math.nan if text is None else float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _chart(name: str, varied: str, curves: list[Curve], *, level: Estimate | None = None, wide: bool = False) -> Chart:
    rows = [
        [curve.label, f"{x:,g}", str(error.count), *interval_cells(error)]
        for curve in curves
        for x, error in curve.points
    ]
    caption = (
        "Mean over the seeds; the band is its 95% interval (Student's t), with two seeds or more."
        if len(curves) <= MOST_BANDS
        else f"Mean over the seeds. Its 95% intervals are among the numbers: {len(curves)} bands would hide each other."
    )
    if level is not None:
        caption += " The dotted line is labels alone."
    means = [error.mean for curve in curves for _, error in curve.points]
    return Chart(
        name=name,
        title="Test error, %",
        caption=caption,
        alt_text=f"Test error by {varied}, {len(curves)} methods, from {min(means):.1f} to {max(means):.1f} percent",
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
        errors = [error for curve in curves for _, error in curve.points]
        with_bands = len(curves) <= MOST_BANDS
        ends = [end for error in errors for end in (error.low, error.high)] if with_bands else []
        means = [error.mean for error in errors] + ([level.mean] if level else [])
        # One very wide interval of two seeds must not flatten all curves.
        room = 1.5 * (max(means) - min(means)) + 2
        shown = [min(max(end, min(means) - room), max(means) + room) for end in ends] + means
        axes.set(ylim=canvas.bounds(shown, least=0.0, most=100.0), xlabel=varied)
        if logarithmic := places[0] > 0 and places[-1] >= 8 * places[0]:
            axes.set_xscale("log")
        _ticks(axes, places, logarithmic)
        if level is not None:
            axes.axhline(level.mean, color=style(0).colour, linewidth=1.5, linestyle=(0, (1.2, 2)))
        for curve in curves:
            curve_style = style(curve.colour)
            x, y = ([x for x, _ in curve.points], [error.mean for _, error in curve.points])
            band = [(x, error.low, error.high) for x, error in curve.points if error.half_width is not None]
            if with_bands and len(band) > 1:
                band_x, low, high = zip(*band, strict=True)
                axes.fill_between(band_x, low, high, color=curve_style.colour, alpha=0.14, linewidth=0)
            axes.plot(
                *(x, y),
                color=curve_style.colour,
                linestyle=curve_style.dashes,
                linewidth=2,
                marker=curve_style.marker,
                markersize=5.5,
                markeredgewidth=0,
                clip_on=False,
                gid=canvas.titled(curve.label),
            )

    return draw


def _ticks(axes: "Axes", places: list[float], logarithmic: bool) -> None:
    """Ticks at the values that were tried, without those whose numbers would overlap."""
    axes.minorticks_off()
    axes.margins(x=0.04)
    low, high = (places[0] / 1.15, places[-1] * 1.15) if logarithmic else (places[0], places[-1])
    if not logarithmic:
        room = 0.05 * (high - low) or 0.5
        low, high = low - room, high + room
    axes.set_xlim(low, high)
    x = [axes.transData.transform((place, 0))[0] for place in places]
    shown: list[int] = []
    for index, place in enumerate(x):
        width = 4 + 3.6 * len(f"{places[index]:,g}")
        if not shown or place - x[shown[-1]] > width + 3.6 * len(f"{places[shown[-1]]:,g}"):
            shown.append(index)
    axes.set_xticks([places[index] for index in shown], [f"{places[index]:,g}" for index in shown])


def change_against_gain(comparison: Comparison) -> Chart | None:
    """One point per method: the share of words its paraphrases change, and its gain over labels alone."""
    points = []
    for group in comparison.groups:
        change, gain = group.estimate("change_rate"), comparison.against_baseline(group)
        if change is not None and gain is not None:
            points.append((group, 100 * change.mean, gain))
    changes = [change for _, change, _ in points]
    if not points or max(changes) - min(changes) < LEAST_SPREAD:
        return None
    values = "; ".join(f"{group.label} {change:.0f}, {gain.text(sign=True)}" for group, change, gain in points)
    return Chart(
        name="gain-by-change",
        title="Test error minus that of labels alone, points",
        caption="Below 0 the method helps. Paired by seed, with the 95% interval; the horizontal axis is the mean "
        "share of words that a paraphrase changes.",
        alt_text=f"Percent of words changed, and test error minus that of labels alone: {values}",
        numbers=Numbers(
            ["method", "words changed %", "difference", "low", "high"],
            [[group.label, number(change, 1), *interval_cells(gain)] for group, change, gain in points],
        ),
        draw=lambda canvas: _draw_gain(canvas, points),
        keys=legend_keys([group for group, _, _ in points]),
    )


def _draw_gain(canvas: "Canvas", points: list[tuple[Group, float, Estimate]]) -> None:
    axes = canvas.axes()
    ends = [0.0, *(end for _, _, gain in points for end in (gain.mean, gain.low, gain.high))]
    most = max(change for _, change, _ in points)
    axes.set(ylim=canvas.bounds(ends), xlim=(0, max(10.0, 1.15 * most)), xlabel="words changed, %")
    axes.axhline(0, color=canvas.colour("rule"), linewidth=1)
    for group, change, gain in points:
        group_style = style(group.colour)
        if gain.half_width is not None:
            axes.plot((change, change), (gain.low, gain.high), color=group_style.colour, linewidth=2, alpha=0.45)
        title = canvas.titled(f"{group.label}: {gain.text(sign=True)}")
        axes.plot(
            change, gain.mean, group_style.marker, markersize=8, markeredgewidth=0, color=group_style.colour, gid=title
        )
    if len(points) <= 6:
        low, high = axes.get_ylim()
        label_positions: list[tuple[float, float]] = []
        short = short_labels([group.label for group, _, _ in points], 24)
        for group, change, gain in sorted(points, key=lambda item: item[2].mean):
            left = change > 0.55 * axes.get_xlim()[1]
            y = gain.mean
            while any(abs(y - other) < 0.075 * (high - low) and abs(change - x) < 40 for x, other in label_positions):
                y += 0.02 * (high - low)
            label_positions.append((change, y))
            offset = {"dx": -8, "ha": "right"} if left else {"dx": 8, "ha": "left"}
            canvas.text(axes, change, y, short[group.label], va="center", color=style(group.colour).colour, **offset)
