"""What a figure is before it is drawn: its words, its numbers, and how it goes on an axis."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from text_uda.report.comparison import Group
from text_uda.report.interval import Estimate

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
    """What goes up."""
    explained: str
    told: str
    """The same for who cannot see it: what is drawn, from where to where."""
    numbers: Numbers
    draw: "Callable[[Canvas], None]"
    keys: list[tuple[str, int]] = field(default_factory=list)
    """(label, colour) of what its legend would name; the page has one legend for many figures."""
    shape: Literal["small", "wide"] = "small"
    """A wide one is drawn twice for the page: for a screen and for a phone."""


def keys_of(groups: Sequence[Group]) -> list[tuple[str, int]]:
    return list({group.label: (group.label, group.colour) for group in groups}.values())


def number(value: float | None, digits: int = 2) -> str:
    return "\N{EN DASH}" if value is None else f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def cells(found: Estimate) -> list[str]:
    """Mean, and the ends of its interval."""
    known = found.half_width is not None
    return [number(found.mean), number(found.low if known else None), number(found.high if known else None)]
