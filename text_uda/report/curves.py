"""Metrics over the steps of training: thin lines for the seeds, a thick one for their mean."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from text_uda.report.chart import Chart, Numbers, Points, legend_keys, number
from text_uda.report.comparison import Comparison, Group
from text_uda.report.palette import style

if TYPE_CHECKING:
    from text_uda.report.drawing import Canvas

POINTS = 80  # of one line: a small chart shows no more, and more would enlarge the page
ROWS = 16  # of the table behind a chart
CROWD = 6  # methods; with more, the lines of single seeds cannot be told apart


@dataclass(frozen=True)
class Metric:
    """A quantity of metrics.jsonl."""

    kind: str
    field: str
    title: str
    explanation: str
    most: float = math.inf
    scale: float = 1.0


_LABELED = Metric(
    "train", "supervised", "Loss on labeled rows", "Cross entropy; near 0 the model has memorized the labels."
)
_WHOLE = Metric("train", "loss", "Loss", "A sum over objectives: do not compare its height across methods.")
_SHOWN = (
    Metric("dev", "error", "Development error, %", "On labeled rows outside of training.", 100.0),
    Metric("dev", "macro_f1", "Development macro-F1, %", "Mean over the classes, each with the same weight.", 100.0),
    _LABELED,
    Metric(
        "train",
        "tsa_threshold",
        "TSA threshold",
        "Training signal annealing: labeled rows predicted above the threshold do not count.",
        1.0,
    ),
    Metric(
        "train", "labeled_counted", "Labeled rows in use, %", "Share of a batch below the TSA threshold.", 100.0, 100.0
    ),
    Metric(
        "train",
        "confident",
        "Unlabeled rows in use, %",
        "Share of a batch above the confidence threshold.",
        100.0,
        100.0,
    ),
    Metric(
        "train",
        "agreement",
        "Agreement of the two views, %",
        "Share of the unlabeled rows in use whose two views are predicted as the same class.",
        100.0,
        100.0,
    ),
)


def training_charts(comparison: Comparison) -> list[Chart]:
    """A chart for each metric with two logged steps or more."""
    charts = []
    for metric in _SHOWN:
        if metric.field == "macro_f1" and not comparison.skewed:
            continue
        chart = _chart(comparison, metric)
        if chart is None and metric is _LABELED:
            chart = _chart(comparison, _WHOLE)
        if chart is not None:
            charts.append(chart)
    return charts


def _chart(comparison: Comparison, metric: Metric) -> Chart | None:
    lines: dict[Group, list[Points]] = {}
    caption = metric.explanation
    for group in comparison.groups:
        series = [run.series(metric.kind, metric.field) for run in group.runs]
        series = [[(step, metric.scale * value) for step, value in line] for line in series if len(line) > 1]
        if series:
            lines[group] = [thin(line) for line in series]
        if any(len(line) > POINTS for line in series) and not caption.endswith("averaged."):
            caption = f"{caption} Neighbouring steps are averaged."
    if not lines:
        return None
    means = {group: mean_line(group_lines) for group, group_lines in lines.items()}
    values = [value for line in means.values() for _, value in line]
    if not values:
        return None
    return Chart(
        name=f"{metric.field.replace('_', '-')}-by-step" if metric.kind == "train" else f"development-{metric.field}",
        title=metric.title,
        caption=caption,
        alt_text=f"{metric.title} by training step, means from {number(min(values))} to {number(max(values))}",
        numbers=_numbers(means),
        draw=_drawer(lines, means, metric.most),
        keys=legend_keys(list(lines)),
    )


def _drawer(lines: dict[Group, list[Points]], means: dict[Group, Points], most: float) -> "Callable[[Canvas], None]":
    def draw(canvas: "Canvas") -> None:
        axes = canvas.axes()
        points = [point for group_lines in lines.values() for line in group_lines for point in line]
        axes.set(ylim=canvas.bounds([value for _, value in points], least=0.0, most=most))
        axes.set(xlim=(0, max(step for step, _ in points)), xlabel="step")
        for group, group_lines in lines.items():
            if len(group_lines) > 1 and len(lines) <= CROWD:
                colour = style(group.colour).colour
                for line in group_lines:
                    axes.plot(*zip(*line, strict=True), color=colour, linewidth=0.8, alpha=0.4)
        for group, line in means.items():
            if line:
                group_style = style(group.colour)
                axes.plot(
                    *zip(*line, strict=True),
                    color=group_style.colour,
                    linestyle=group_style.dashes,
                    linewidth=2 if len(lines) <= CROWD else 1.3,
                    gid=canvas.titled(group.label),
                )

    return draw


def _numbers(means: dict[Group, Points]) -> Numbers:
    steps = sorted({step for line in means.values() for step, _ in line})
    shown = steps[:: math.ceil(len(steps) / ROWS)]
    if shown[-1] != steps[-1]:
        shown.append(steps[-1])
    by_step = [dict(line) for line in means.values()]
    rows = [[f"{step:,.0f}", *(number(line.get(step), 3) for line in by_step)] for step in shown]
    return Numbers(["step", *(group.label for group in means)], rows)


def thin(line: Sequence[tuple[float, float]]) -> Points:
    """At most POINTS points, each the mean of its neighbours."""
    size = math.ceil(len(line) / POINTS)
    chunks = [line[index : index + size] for index in range(0, len(line), size)]
    return [(_mean([step for step, _ in chunk]), _mean([value for _, value in chunk])) for chunk in chunks]


def mean_line(lines: Sequence[Points]) -> Points:
    """Mean over the lines at the steps that all of them have."""
    points = sorted(point for line in lines for point in line)
    at_steps = [(step, [value for _, value in same]) for step, same in groupby(points, key=lambda point: point[0])]
    return [(step, _mean(values)) for step, values in at_steps if len(values) == len(lines)]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
