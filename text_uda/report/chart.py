"""A figure before it is drawn: its words, its numbers, and the function that puts it on an axis."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from text_uda.report.comparison import Group
from text_uda.report.seed_statistics import Estimate

if TYPE_CHECKING:
    from text_uda.report.drawing import Canvas

Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Numbers:
    """The table behind a figure; its first column names the rows."""

    columns: list[str]
    rows: list[list[str]]


@dataclass(frozen=True, eq=False)
class Chart:
    """One figure."""

    name: str
    """Of its files: letters and hyphens."""
    title: str
    """The quantity on the vertical axis."""
    caption: str
    alt_text: str
    """For screen readers: what is drawn, and the range of its values."""
    numbers: Numbers
    draw: "Callable[[Canvas], None]"
    keys: list[tuple[str, int]] = field(default_factory=list)
    """(label, colour) of the entries of its legend; the page has one legend for many figures."""
    shape: Literal["small", "wide"] = "small"
    """The page has a wide figure twice: for a screen and for a phone."""


def legend_keys(groups: Sequence[Group]) -> list[tuple[str, int]]:
    return list({group.label: (group.label, group.colour) for group in groups}.values())


def number(value: float | None, digits: int = 2) -> str:
    return "\N{EN DASH}" if value is None else f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def interval_cells(estimate: Estimate) -> list[str]:
    """Mean, and the ends of its interval."""
    known = estimate.half_width is not None
    return [
        number(estimate.mean),
        number(estimate.low if known else None),
        number(estimate.high if known else None),
    ]
