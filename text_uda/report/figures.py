"""Geometry of the figures: where each mark goes. The templates draw them, so that all text is escaped in one place."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from text_uda.report.comparison import Comparison, Group
from text_uda.report.interval import Estimate

POINTS = 160  # of one line: more than a small chart can show only makes the page large

Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Scale:
    """Numbers from `low` to `high`, laid out from `start` to `end`."""

    ticks: tuple[float, ...]
    start: float
    end: float

    @property
    def low(self) -> float:
        return self.ticks[0]

    @property
    def high(self) -> float:
        return self.ticks[-1]

    def __call__(self, value: float) -> float:
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 2)

    def label(self, tick: float) -> str:
        step = self.ticks[1] - self.ticks[0]
        if self.high >= 10_000 and step >= 500:
            return f"{tick / 1000:g}k"
        digits = next((digits for digits in range(8) if abs(round(step, digits) - step) < step * 1e-6), 8)
        return f"{tick:.{digits}f}"


def scale(values: Sequence[float], start: float, end: float, *, least: float = 0.0, most: float = math.inf) -> Scale:
    """A scale with round ticks around the values, within the bounds that the quantity has."""
    low, high = max(min(values), least), min(max(values), most)
    if low < 0.35 * high:
        low = least  # near enough to show where nothing is
    if high - low < 1e-9:
        low, high = max(least, low - 0.5), high + 0.5
    step = _round_step((high - low) / 4)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return Scale(tuple(round(index * step, 10) for index in range(first, last + 1)), start, end)


def _round_step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)


# --- error by method --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Strip:
    """One method: its seeds, their mean and its interval, in percent of the width."""

    group: Group
    estimate: Estimate
    low: float
    mean: float
    high: float
    dots: list[tuple[int, float, float]]
    """(seed, test error, place)."""


def strips(comparison: Comparison) -> tuple[Scale, list[Strip]]:
    found = {group: group.estimate("test_error") for group in comparison.groups}
    values = [edge for made in found.values() if made for edge in (made.low, made.high)]
    values += [error for group in comparison.groups for error in group.by_seed("test_error").values()]
    across = scale(values, 2, 98, most=100)
    return across, [
        Strip(
            group,
            made,
            across(made.low),
            across(made.mean),
            across(made.high),
            [(seed, error, across(error)) for seed, error in sorted(group.by_seed("test_error").items())],
        )
        for group, made in found.items()
        if made is not None
    ]


# --- what happened during training ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Curve:
    group: Group
    mean: str
    """A path, in the chart's own units."""
    seeds: list[str]


@dataclass(frozen=True)
class Chart:
    """Lines over the steps of training, on a canvas of WIDTH x HEIGHT."""

    title: str
    explained: str
    x: Scale
    y: Scale
    curves: list[Curve]


WIDTH, HEIGHT = 340, 210

# (kind of record, its field, title, what to know, the most it can be)
_ERROR = ("dev", "error", "Development error, %", "The lowest chose the weights that were tested.", 100.0)
_CONFIDENT = ("train", "confident", "Unlabeled rows in use", "Share of a batch over the confidence threshold.", 1.0)
_LABELED = (
    "train",
    "supervised",
    "Loss on labeled rows",
    "Cross entropy; near 0 the labels are learnt by heart.",
    math.inf,
)
_WHOLE = ("train", "loss", "Loss", "A sum over objectives: its height says nothing across methods.", math.inf)


def charts(comparison: Comparison) -> list[Chart]:
    """A chart for each quantity that the runs logged at two steps or more."""
    loss = _chart(comparison, *_LABELED) or _chart(comparison, *_WHOLE)
    made = (_chart(comparison, *_ERROR), _chart(comparison, *_CONFIDENT), loss)
    return [chart for chart in made if chart is not None]


def _chart(comparison: Comparison, kind: str, name: str, title: str, explained: str, most: float) -> Chart | None:
    lines = {group: [run.series(kind, name) for run in group.runs] for group in comparison.groups}
    lines = {group: [line for line in found if len(line) > 1] for group, found in lines.items()}
    lines = {group: found for group, found in lines.items() if found}
    if not lines:
        return None
    thinned = {group: [thin(line) for line in found] for group, found in lines.items()}
    if any(len(line) > POINTS for found in lines.values() for line in found):
        explained = f"{explained} Neighbouring steps are averaged."
    points = [point for found in thinned.values() for line in found for point in line]
    x = scale([0.0, max(step for step, _ in points)], 40, WIDTH - 10)
    y = scale([value for _, value in points], HEIGHT - 26, 10, most=most)
    curves = [
        Curve(group, _path(mean_line(found), x, y), [_path(line, x, y) for line in found] if len(found) > 1 else [])
        for group, found in thinned.items()
    ]
    return Chart(title, explained, x, y, curves)


def thin(line: Sequence[tuple[float, float]]) -> Points:
    """At most POINTS points, each the mean of neighbours."""
    size = math.ceil(len(line) / POINTS)
    chunks = [line[index : index + size] for index in range(0, len(line), size)]
    return [(_mean([step for step, _ in chunk]), _mean([value for _, value in chunk])) for chunk in chunks]


def mean_line(lines: Sequence[Points]) -> Points:
    """Mean over the lines at the steps that all of them have."""
    every = sorted(point for line in lines for point in line)
    at_steps = [(step, [value for _, value in points]) for step, points in groupby(every, key=lambda point: point[0])]
    return [(step, _mean(values)) for step, values in at_steps if len(values) == len(lines)]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _path(line: Points, x: Scale, y: Scale) -> str:
    return "M" + "L".join(f"{x(step):.1f} {y(value):.1f}" for step, value in line) if line else ""
