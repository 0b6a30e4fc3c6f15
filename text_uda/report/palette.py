"""The colours, dashes and markers of the groups: one list for the page and for every figure."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

HUES = 7  # further groups reuse them with other dashes and markers

_DASHES = ((0, ()), (0, (5, 2)), (0, (1.2, 1.6)))
_MARKERS = ("o", "s", "D", "^", "v", "P", "X")


@dataclass(frozen=True)
class Style:
    """How one group is drawn."""

    hue: int
    """0 for labels alone, else 1 to HUES: the variable --c0, --c1, ... of page.css."""
    lap: int
    """How often earlier groups used up the hues: this group has other dashes and a hollow mark."""

    @property
    def colour(self) -> str:
        return light_colours()[f"c{self.hue}"]

    @property
    def dashes(self) -> tuple[float, tuple[float, ...]]:
        return _DASHES[self.lap % len(_DASHES)]

    @property
    def marker(self) -> str:
        return _MARKERS[self.hue % len(_MARKERS)]


def style(colour: int) -> Style:
    """Of `Group.colour`."""
    return Style((colour - 1) % HUES + 1, (colour - 1) // HUES) if colour else Style(0, 0)


@cache
def light_colours() -> dict[str, str]:
    """Variables of page.css and their colours in light mode, #rrggbb, in which figures are drawn."""
    css = (Path(__file__).parent / "page.css").read_text("utf-8")
    light = css[: css.index("}")]
    variables = re.findall(r"--(\w+): #([0-9a-f]+)", light)
    return {
        name: f"#{value if len(value) == 6 else ''.join(2 * digit for digit in value)}" for name, value in variables
    }
