"""The table on a terminal: never wider than it, the most important columns first, what is left out is named."""

import pytest

from text_uda.report import read
from text_uda.report.terminal_table import to_terminal


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_it_fits(study, width):
    lines = to_terminal(read(study).comparisons, width).splitlines()
    header = next(line for line in lines if line.startswith("method"))
    rows = lines[lines.index(header) : lines.index("", lines.index(header))]
    assert max(map(len, rows)) <= width
    assert "test error %" in header and rows[1].startswith("labels alone")


def test_columns_that_do_not_fit_are_named(study):
    report = read(study)
    narrow, wide = report.terminal(60), report.terminal(1000)
    assert "on the page: " in narrow and "on the page: " not in wide
    (left_out,) = [line for line in narrow.splitlines() if line.startswith("on the page: ")]
    assert all(title in wide for title in left_out.removeprefix("on the page: ").split(", "))


def test_findings_are_those_of_the_page(study):
    (finding, *_) = read(study).findings()
    assert finding.startswith(("The test error is lowest with", "No method has a lower test error"))
