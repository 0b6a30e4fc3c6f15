"""What happened during training: thin lines for the seeds, a thick one for their mean."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from text_uda.report.chart import Chart, Numbers, Points, keys_of, number
from text_uda.report.comparison import Comparison, Group
from text_uda.report.palette import style

if TYPE_CHECKING:
    from text_uda.report.drawing import Canvas

POINTS = 80  # of one line: more than a small chart can show only makes the page large
ROWS = 16  # of the table behind a chart
CROWD = 6  # methods; the lines of the seeds of more are not to be told apart


@dataclass(frozen=True)
class Metric:
    """A quantity of metrics.jsonl."""

    kind: str
    field: str
    title: str
    explained: str
    most: float = math.inf
    times: float = 1.0


_LABELED = Metric(
    "train", "supervised", "Loss on labeled rows", "Cross entropy; near 0 the labels are learnt by heart."
)
_WHOLE = Metric("train", "loss", "Loss", "A sum over objectives: its height says nothing across methods.")
_SHOWN = (
    Metric("dev", "error", "Development error, %", "Of rows that are not trained on.", 100.0),
    Metric("dev", "macro_f1", "Development macro-F1, %", "Mean over the classes, each counts the same.", 100.0),
    _LABELED,
    Metric(
        "train",
        "tsa_threshold",
        "TSA threshold",
        "Labeled rows that are predicted above it do not count: training signal annealing.",
        1.0,
    ),
    Metric(
        "train", "labeled_counted", "Labeled rows in use, %", "Share of a batch under the TSA threshold.", 100.0, 100.0
    ),
    Metric(
        "train",
        "confident",
        "Unlabeled rows in use, %",
        "Share of a batch over the confidence threshold.",
        100.0,
        100.0,
    ),
    Metric(
        "train",
        "agreement",
        "Agreement of the two views, %",
        "Share of the unlabeled rows in use whose two views get the same class.",
        100.0,
        100.0,
    ),
)


def training(comparison: Comparison) -> list[Chart]:
    """A chart for each quantity that the runs logged at two steps or more."""
    found = []
    for metric in _SHOWN:
        if metric.field == "macro_f1" and not comparison.skewed:
            continue
        chart = _chart(comparison, metric)
        if chart is None and metric is _LABELED:
            chart = _chart(comparison, _WHOLE)
        if chart is not None:
            found.append(chart)
    return found


def _chart(comparison: Comparison, metric: Metric) -> Chart | None:
    lines: dict[Group, list[Points]] = {}
    explained = metric.explained
    for group in comparison.groups:
        own = [run.series(metric.kind, metric.field) for run in group.runs]
        own = [[(step, metric.times * value) for step, value in line] for line in own if len(line) > 1]
        if own:
            lines[group] = [thin(line) for line in own]
        if any(len(line) > POINTS for line in own) and not explained.endswith("averaged."):
            explained = f"{explained} Neighbouring steps are averaged."
    if not lines:
        return None
    means = {group: mean_line(own) for group, own in lines.items()}
    every = [value for line in means.values() for _, value in line]
    if not every:
        return None
    return Chart(
        name=f"{metric.field.replace('_', '-')}-by-step" if metric.kind == "train" else f"development-{metric.field}",
        title=metric.title,
        explained=explained,
        told=f"{metric.title} over the steps of training, means from {number(min(every))} to {number(max(every))}",
        numbers=_numbers(means),
        draw=_drawer(lines, means, metric.most),
        keys=keys_of(list(lines)),
    )


def _drawer(lines: dict[Group, list[Points]], means: dict[Group, Points], most: float) -> "Callable[[Canvas], None]":
    def draw(canvas: "Canvas") -> None:
        axes = canvas.axes()
        points = [point for own in lines.values() for line in own for point in line]
        axes.set(ylim=canvas.bounds([value for _, value in points], least=0.0, most=most))
        axes.set(xlim=(0, max(step for step, _ in points)), xlabel="step")
        for group, own in lines.items():
            look = style(group.colour)
            if len(own) > 1 and len(lines) <= CROWD:
                for line in own:
                    axes.plot(*zip(*line, strict=True), color=look.colour, linewidth=0.8, alpha=0.4)
        for group, line in means.items():
            if line:
                look = style(group.colour)
                axes.plot(
                    *zip(*line, strict=True),
                    color=look.colour,
                    linestyle=look.dashes,
                    linewidth=2 if len(lines) <= CROWD else 1.3,
                    gid=canvas.titled(group.label),
                )

    return draw


def _numbers(means: dict[Group, Points]) -> Numbers:
    steps = sorted({step for line in means.values() for step, _ in line})
    chosen = steps[:: math.ceil(len(steps) / ROWS)]
    if chosen[-1] != steps[-1]:
        chosen.append(steps[-1])
    at = {group: dict(line) for group, line in means.items()}
    rows = [[f"{step:,.0f}", *(number(line.get(step), 3) for line in at.values())] for step in chosen]
    return Numbers(["step", *(group.label for group in means)], rows)


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
