"""Draws charts with matplotlib: SVG for the page, in its colours, and SVG and PDF files for a paper.

Without pyplot, whose figures are global state. One point is one pixel of the page at its natural width.
"""

import io
import math
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from xml.etree import ElementTree

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from text_uda.report.chart import Chart
from text_uda.report.palette import light_colours, style
from text_uda.report.short_labels import short_labels

NARROW, WIDE = 340.0, 960.0  # points
HEIGHT = 216.0
FONT = 11.0

_TITLE = "title:"  # prefix of an id that becomes a <title> in the SVG
_SVG = "{http://www.w3.org/2000/svg}"
_HREF = "{http://www.w3.org/1999/xlink}href"

# Text stays text, and equal charts give equal bytes.
_SETTINGS: Any = {"svg.fonttype": "none", "svg.hashsalt": "text-uda", "pdf.fonttype": 42}


class Canvas:
    """One figure, and what a chart draws with.

    Args:
        narrow: as wide as a phone, else WIDE points.
        paper: the figure stands alone and needs a name of its y axis and a legend.
    """

    def __init__(self, chart: Chart, *, narrow: bool, paper: bool = False) -> None:
        self.chart, self.narrow, self.paper = chart, narrow, paper
        self.width, self.height = NARROW if narrow else WIDE, HEIGHT
        self.figure = Figure(dpi=72)
        self._colours = light_colours()

    def axes(self, *, left: float = 40, right: float = 10, top: float = 8, bottom: float = 38) -> Axes:
        """The one pair of axes, with these margins in points."""
        legend = self._legend_height() if self.paper and self.chart.keys else 0.0
        if self.paper and self.chart.shape == "small":
            left += 16
        height = self.height + legend
        self.figure.set_size_inches(self.width / 72, height / 72)
        box = (left, bottom, self.width - left - right, self.height - top - bottom)
        axes = self.figure.add_axes(
            (box[0] / self.width, box[1] / height, box[2] / self.width, box[3] / height), facecolor="none"
        )
        for side, spine in axes.spines.items():
            spine.set_visible(side == "bottom")
            spine.set_color(self._colours["rule"])
        soft = self._colours["soft"]
        axes.tick_params(color=self._colours["rule"], labelcolor=soft, labelsize=FONT, length=3, width=0.8)
        axes.tick_params(axis="y", length=0)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
            axis.set_major_formatter(FuncFormatter(_tick))
            axis.label.set(color=soft, fontsize=FONT)
        axes.set_axisbelow(True)
        axes.grid(axis="y")
        for line in (*axes.get_xgridlines(), *axes.get_ygridlines()):
            line.set(color=self._colours["line"], linewidth=1)
        axes.tick_params(grid_color=self._colours["line"], grid_linewidth=1)
        if self.paper and self.chart.shape == "small":
            axes.set_ylabel(self.chart.title)
        if legend:
            self._legend()
        return axes

    def colour(self, name: str) -> str:
        """Of a variable of page.css: ink, soft, line, ..."""
        return self._colours[name]

    def titled(self, text: str) -> str | None:
        return None if self.paper else _TITLE + text

    def bounds(
        self, values: Sequence[float], *, least: float = -math.inf, most: float = math.inf
    ) -> tuple[float, float]:
        """Limits of an axis: the range of the values with a margin, inside [least, most]; `least` itself where near."""
        low, high = max(min(values), least), min(max(values), most)
        if math.isfinite(least) and low - least < 0.35 * (high - least):
            low = least
        room = 0.05 * (high - low) or 0.5
        return max(low - room, least), min(high + room, most)

    def text(
        self,
        axes: Axes,
        x: float,
        y: float,
        words: str,
        *,
        x_in: str = "data",
        dx: float = 0,
        dy: float = 0,
        **properties: Any,
    ) -> None:
        """Draw words `dx` and `dy` points from (x, y), and never read them as mathematics."""
        properties = {"color": self._colours["ink"], "fontsize": FONT} | properties
        coordinates = ("axes fraction", "data") if x_in == "axes" else "data"
        axes.annotate(
            words, (x, y), (dx, dy), xycoords=coordinates, textcoords="offset points", parse_math=False, **properties
        )

    def dot(self, axes: Axes, y: float, colour: int) -> None:
        """Draw the dot of a legend of the page, left of the axes."""
        x = axes.transAxes.inverted().transform((axes.bbox.x0 - 6, 0))[0]
        axes.plot(
            *(x, y, "o"),
            transform=axes.get_yaxis_transform(),
            clip_on=False,
            markersize=6,
            markeredgewidth=0,
            color=style(colour).colour,
        )

    # --- the legend of a figure that stands alone ---------------------------------------------------------------------

    def _columns(self) -> int:
        longest = max(len(label) for label, _ in self.chart.keys)
        return max(1, min(len(self.chart.keys), int(self.width / (40 + 6.5 * min(longest, 40)))))

    def _legend_height(self) -> float:
        return 17.0 * math.ceil(len(self.chart.keys) / self._columns()) + 6

    def _legend(self) -> None:
        styles = [style(colour) for _, colour in self.chart.keys]
        handles = [Line2D([], [], color=line.colour, linestyle=line.dashes, linewidth=2) for line in styles]
        legend = self.figure.legend(
            handles, ["x"] * len(handles), loc="upper left", ncols=self._columns(), frameon=False, fontsize=FONT
        )
        short = short_labels([label for label, _ in self.chart.keys], 40)
        for text, (label, _) in zip(legend.get_texts(), self.chart.keys, strict=True):
            text.set(text=short[label], parse_math=False)


def _tick(value: float, place: int | None = None) -> str:
    if abs(value) >= 10_000:
        return f"{value / 1000:g}k"
    return f"{round(value, 10):g}".replace("-", "\N{MINUS SIGN}")


@contextmanager
def _drawn(chart: Chart, *, narrow: bool, paper: bool = False) -> Iterator[Figure]:
    # Matplotlib reads these settings only from its global state. The browser has glyphs that matplotlib's font lacks.
    with matplotlib.rc_context(_SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing from|.*missing from font")
        canvas = Canvas(chart, narrow=narrow, paper=paper)
        chart.draw(canvas)
        yield canvas.figure


def paper_files(chart: Chart) -> dict[str, bytes]:
    """Content by suffix: on white, with a legend, and with the fonts in the PDF."""
    contents = {}
    for suffix, metadata in (("svg", {"Date": None}), ("pdf", {"CreationDate": None})):
        with _drawn(chart, narrow=chart.shape != "wide", paper=True) as figure:
            content = io.BytesIO()
            figure.savefig(content, format=suffix, facecolor="white", metadata=metadata)
            contents[suffix] = content.getvalue()
    return contents


def svg(chart: Chart, ids: str, *, narrow: bool) -> str:
    """An <svg> element for the page, with CSS variables as colours.

    Args:
        ids: prefix of its ids, different for each element of a page.
    """
    with _drawn(chart, narrow=narrow) as figure:
        content = io.BytesIO()
        figure.savefig(content, format="svg", transparent=True, metadata={"Date": None})
        width, height = figure.get_size_inches() * 72
    root = ElementTree.fromstring(content.getvalue())  # trusted: matplotlib wrote it
    for part in (*root.findall(f"{_SVG}metadata"), *root.findall(f"{_SVG}defs[{_SVG}style]")):
        root.remove(part)  # the author, and a style rule that would apply to the whole page
    _simplify(root, ids)
    root.attrib.clear()
    root.attrib |= {"viewBox": f"0 0 {width:g} {height:g}", "role": "img", "aria-label": f"{chart.alt_text}."}
    root.attrib["style"] = f"max-width: {width * (1.25 if narrow else 1.12):g}px"
    _remove_namespaces(root)
    return ElementTree.tostring(root, encoding="unicode")


def _simplify(root: ElementTree.Element, prefix: str) -> None:
    """Shorten numbers, and drop ids without references and groups without attributes."""
    referenced = set(re.findall(r"#([\w-]+)", ElementTree.tostring(root, encoding="unicode")))
    variables = {value: name for name, value in light_colours().items()}
    for element in root.iter():
        identifier = element.attrib.pop("id", None)
        if identifier is not None and identifier.startswith(_TITLE):
            title = ElementTree.Element(f"{_SVG}title")
            title.text = identifier.removeprefix(_TITLE)
            element.insert(0, title)
        elif identifier in referenced:
            element.set("id", f"{prefix}-{identifier}")
        if href := element.attrib.pop(_HREF, None):
            element.set("href", f"#{prefix}-{href[1:]}")
        for name in ("d", "x", "y", "width", "height", "transform"):
            if name in element.attrib:
                element.set(name, _rounded(element.attrib[name]))
        if element.get("transform", "").startswith("rotate(-0 "):
            del element.attrib["transform"]
        if (clip := element.attrib.get("clip-path")) is not None:
            element.set("clip-path", clip.replace("#", f"#{prefix}-"))
        if (css := element.attrib.pop("style", None)) is not None and (css := _shortened(css, variables)):
            element.set("style", css)
    _unwrap(root)


def _shortened(css: str, variables: dict[str, str]) -> str:
    """Without what page.css sets for all text in figures, and with its variables as colours."""
    declarations = [part.strip() for part in re.sub(r"'[^']*'", "", css).split(";")]
    declarations = [
        part
        for part in declarations
        if part and not part.startswith("font-family") and part != f"font-size: {FONT:g}px"
    ]
    return re.sub("#[0-9a-f]{6}", lambda match: _variable(match[0], variables), "; ".join(declarations))


def _variable(colour: str, variables: dict[str, str]) -> str:
    return f"var(--{variables[colour]})" if colour in variables else colour


def _rounded(text: str) -> str:
    short = re.sub(r"-?\d+\.\d+", lambda match: f"{float(match[0]):.1f}".removesuffix(".0"), text)
    return " ".join(short.split())


def _unwrap(parent: ElementTree.Element) -> None:
    children = []
    for child in parent:
        _unwrap(child)
        if child.tag == f"{_SVG}g" and not child.attrib and not _has_title(child):
            children += list(child)
        elif child.attrib != {**child.attrib, "style": "fill: none"}:  # a background without colour or edge
            children.append(child)
    parent[:] = children


def _has_title(element: ElementTree.Element) -> bool:
    return len(element) > 0 and element[0].tag == f"{_SVG}title"


def _remove_namespaces(root: ElementTree.Element) -> None:
    """An <svg> element inside HTML needs none."""
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SVG)
        if element.text is not None and not element.text.strip():
            element.text = None
        element.tail = None
