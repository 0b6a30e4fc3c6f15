"""Test error by method: one strip per method, with its seeds as dots, their mean and its interval."""

from typing import TYPE_CHECKING

from text_uda.report.chart import Chart, Numbers, interval_cells, number
from text_uda.report.comparison import Comparison, Group
from text_uda.report.palette import style
from text_uda.report.seed_statistics import Estimate
from text_uda.report.short_labels import short_labels

if TYPE_CHECKING:
    from text_uda.report.drawing import Canvas

ROW = 34.0  # points, height of a strip
LETTERS = 32  # of a label beside its strip; longer ones are cut


def error_by_method(comparison: Comparison) -> Chart | None:
    """None where there is one value only."""
    strips = [(group, error) for group in comparison.groups if (error := group.estimate("test_error"))]
    if sum(error.count for _, error in strips) < 2:
        return None
    seeds = sorted({seed for group, _ in strips for seed in group.by_seed("test_error")})
    rows = []
    for group, error in strips:
        errors = group.by_seed("test_error")
        rows.append([group.label, *interval_cells(error), *(number(errors.get(seed)) for seed in seeds)])
    best = min(strips, key=lambda item: item[1].mean)
    return Chart(
        name="error-by-method",
        title="Test error, %",
        caption="Percent of the test rows with a wrong class; lower is better. Each dot is a seed, the vertical line "
        "their mean, the bar its 95% interval (Student's t) for other seeds on the same test rows.",
        alt_text=f"Mean test error of {len(strips)} methods in percent; the lowest, {best[0].label}, has "
        f"{best[1].text()}",
        numbers=Numbers(["method", "mean", "low", "high", *(f"seed {seed}" for seed in seeds)], rows),
        draw=lambda canvas: _draw(canvas, strips),
        shape="wide",
    )


def _draw(canvas: "Canvas", strips: list[tuple[Group, Estimate]]) -> None:
    short = short_labels([group.label for group, _ in strips], 44 if canvas.narrow else LETTERS)
    label_width = 0 if canvas.narrow else 10 + 7.2 * max(map(len, short.values()))
    row = ROW + 14 if canvas.narrow else ROW
    canvas.height = row * len(strips) + 34
    axes = canvas.axes(left=label_width + 8, right=66, top=2, bottom=32)
    ends = [end for group, mean in strips for end in (mean.low, mean.high, *group.by_seed("test_error").values())]
    low, high = canvas.bounds(ends, least=0.0, most=100.0)
    axes.set(xlim=(low, high), ylim=(len(strips) - 0.5, -0.5), yticks=[])
    axes.grid(axis="x")
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="x", length=0)
    axes.set_xlabel("test error, %")
    for place, (group, mean) in enumerate(strips):
        colour = style(group.colour).colour
        y = place + (7 / row if canvas.narrow else 0)  # below its label
        if mean.half_width is not None:
            ends_shown = (max(mean.low, low), min(mean.high, high))
            axes.plot(ends_shown, (y, y), color=colour, linewidth=11, alpha=0.22, solid_capstyle="butt")
        half = 10 / row
        axes.plot((mean.mean, mean.mean), (y - half, y + half), color=colour, linewidth=2.5, solid_capstyle="butt")
        for seed, error in sorted(group.by_seed("test_error").items()):
            title = canvas.titled(f"seed {seed}: {error:.2f}%")
            axes.plot(error, y, "o", markersize=7, markeredgewidth=0, color=colour, alpha=0.65, gid=title)
        canvas.text(axes, 1, y, mean.text(), x_in="axes", dx=62, ha="right", va="center", weight="bold")
        if canvas.narrow:
            canvas.text(axes, 0, place - 14 / row, short[group.label], x_in="axes", va="center")
        else:
            canvas.text(axes, 0, y, short[group.label], x_in="axes", dx=-14, ha="right", va="center")
            canvas.dot(axes, y, group.colour)
