"""The table of results on a terminal: as many columns as fit, the most important ones first."""

from collections.abc import Sequence

from text_uda.report.comparison import Comparison
from text_uda.report.table import caption, columns, legend, rows
from text_uda.report.task_means import TaskMeans, mean_rows, task_means

_IMPORTANT = (
    *("test_error", "against", "against_text", "seeds_and_rows", "p", "against_regression"),
    *("test_balanced_error", "test_macro_f1", "columns_shuffled", "text_shuffled"),
    *("seconds", "last_test_error", "dev_error", "usable", "change_rate", "calibration_error", "p_rows", "dev_rows"),
)
_GAP = "  "


def to_terminal(comparisons: Sequence[Comparison], width: int) -> str:
    """One table per comparison in at most `width` characters; the columns that do not fit are named below it."""
    tables = [_mean_table(means, width) for means in task_means(comparisons)]
    return "\n\n".join([*tables, *(_table(comparison, width) for comparison in comparisons)])


def _mean_table(means: TaskMeans, width: int) -> str:
    cells = list(zip(*mean_rows(means), strict=True))  # column -> its cells
    kept = list(range(len(cells)))
    while len(kept) > 3 and sum(max(map(len, cells[index])) + len(_GAP) for index in kept) - len(_GAP) > width:
        kept.pop()
    left_out = [cells[index][0] for index in range(len(cells)) if index not in kept]
    more = [f"on the page: {', '.join(left_out)}"] if left_out else []
    return "\n".join([means.title, "", *_aligned(cells, kept), "", *more, means.notes])


def _table(comparison: Comparison, width: int) -> str:
    shown = columns(comparison)
    cells = list(zip(*rows(comparison), strict=True))  # column -> its cells; method and seeds come first
    widths = [max(map(len, column)) for column in cells]
    room = width - sum(widths[:2]) - len(_GAP)
    fitting: set[str] = set()
    for key in _IMPORTANT:
        index = next((index for index, column in enumerate(shown) if column.key == key), None)
        if index is not None and (needed := widths[index + 2] + len(_GAP)) <= room:
            fitting.add(key)
            room -= needed
    kept = [0, 1, *(index + 2 for index, column in enumerate(shown) if column.key in fitting)]
    lines = _aligned(cells, kept)
    left_out = [column.title for column in shown if column.key not in fitting]
    more = [f"on the page: {', '.join(left_out)}"] if left_out else []
    explained = legend(column for column in shown if column.key in fitting)
    return "\n".join([caption(comparison), "", *lines, "", *more, *explained])


def _aligned(cells: Sequence[Sequence[str]], kept: Sequence[int]) -> list[str]:
    """The lines of these columns: the first one to the left, the others to the right."""
    widths = [max(map(len, column)) for column in cells]
    return [
        _GAP.join(
            cells[index][line].ljust(widths[index]) if index == 0 else cells[index][line].rjust(widths[index])
            for index in kept
        ).rstrip()
        for line in range(len(cells[0]))
    ]
