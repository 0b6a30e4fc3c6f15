"""Error by method: a strip each, its seeds as dots, their mean and its interval."""

from typing import TYPE_CHECKING

from text_uda.report.chart import Chart, Numbers, cells, number
from text_uda.report.comparison import Comparison, Group
from text_uda.report.interval import Estimate
from text_uda.report.palette import style

if TYPE_CHECKING:
    from text_uda.report.drawing import Canvas

ROW = 34.0  # points of height a strip
LETTERS = 32  # of a label beside its strip; more are cut


def error_by_method(comparison: Comparison) -> Chart | None:
    """None where there is but one run, which has nothing to be held against."""
    found = [(group, made) for group in comparison.groups if (made := group.estimate("test_error"))]
    if sum(made.count for _, made in found) < 2:
        return None
    seeds = sorted({seed for group, _ in found for seed in group.by_seed("test_error")})
    rows = []
    for group, made in found:
        errors = group.by_seed("test_error")
        rows.append([group.label, *cells(made), *(number(errors.get(seed)) for seed in seeds)])
    best = min(found, key=lambda item: item[1].mean)
    return Chart(
        name="error-by-method",
        title="Test error, %",
        explained="Percent of the test rows that get the wrong class, lower is better. A dot is a seed, the upright "
        "line their mean, the bar its 95% interval (Student's t): what other seeds would do, not what other test rows "
        "would.",
        told=f"Mean test error of {len(found)} methods in percent; the lowest, {best[0].label}, has {best[1].text()}",
        numbers=Numbers(["method", "mean", "low", "high", *(f"seed {seed}" for seed in seeds)], rows),
        draw=lambda canvas: _draw(canvas, found),
        shape="wide",
    )


def _draw(canvas: "Canvas", found: list[tuple[Group, Estimate]]) -> None:
    beside = 0 if canvas.narrow else 10 + 7.2 * max(min(len(group.label), LETTERS) for group, _ in found)
    row = ROW + 14 if canvas.narrow else ROW
    canvas.height = row * len(found) + 34
    axes = canvas.axes(left=beside + 8, right=66, top=2, bottom=32)
    ends = [end for group, made in found for end in (made.low, made.high, *group.by_seed("test_error").values())]
    low, high = canvas.bounds(ends, least=0.0, most=100.0)
    axes.set(xlim=(low, high), ylim=(len(found) - 0.5, -0.5), yticks=[])
    axes.grid(axis="x")
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="x", length=0)
    axes.set_xlabel("test error, %")
    for place, (group, made) in enumerate(found):
        colour = style(group.colour).colour
        at = place + (7 / row if canvas.narrow else 0)  # the label stands above
        if made.half_width is not None:
            ends_shown = (max(made.low, low), min(made.high, high))
            axes.plot(ends_shown, (at, at), color=colour, linewidth=11, alpha=0.22, solid_capstyle="butt")
        half = 10 / row
        axes.plot((made.mean, made.mean), (at - half, at + half), color=colour, linewidth=2.5, solid_capstyle="butt")
        for seed, error in sorted(group.by_seed("test_error").items()):
            mark = canvas.titled(f"seed {seed}: {error:.2f}%")
            axes.plot(error, at, "o", markersize=7, markeredgewidth=0, color=colour, alpha=0.65, gid=mark)
        canvas.text(axes, 1, at, made.text(), x_in="axes", dx=62, ha="right", va="center", weight="bold")
        if canvas.narrow:
            canvas.text(axes, 0, place - 14 / row, group.label, x_in="axes", va="center", letters=44)
        else:
            canvas.text(axes, 0, at, group.label, x_in="axes", dx=-14, ha="right", va="center", letters=LETTERS)
            canvas.dot(axes, at, group.colour)
