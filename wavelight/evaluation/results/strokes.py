"""How figures of a page are drawn: the look of each system, and SVG that takes the page's colours."""

import html
import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = (
    "#3b82c4",
    "#d1711a",
    "#2e9e5b",
    "#d64545",
    "#8e6bc4",
    "#a0705a",
    "#c9589c",
    "#2a9d9d",
)
"""Each has a contrast of 3 or more on white and on the page's black."""

_MARKERS = {"o": "●", "s": "■", "^": "▲", "v": "▼", "D": "◆"}
"""As matplotlib calls them, and as text has them."""

PAGE = "#010203"
"""Stands in figures for the colour of the page's text, which is another one in the dark."""

_STYLE = {
    "text.color": PAGE,
    "axes.edgecolor": PAGE,
    "axes.labelcolor": PAGE,
    "xtick.color": PAGE,
    "ytick.color": PAGE,
    "grid.color": PAGE,
    "grid.alpha": 0.15,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.size": 10,
    # Text stays text: it takes the page's font, and can be searched.
    "svg.fonttype": "none",
    # Names are a user's, and no formulas.
    "text.parse_math": False,
}
_SIZE = (4.8, 3.3)
"""In inches: legible on a telephone, two beside each other on a screen."""


class Look(NamedTuple):
    """How a system is drawn."""

    colour: str
    marker: str
    symbol: str
    """The marker as a character."""


def look_of(number: int) -> Look:
    """Return how the system of a number looks; 40 look different."""
    marker, symbol = list(_MARKERS.items())[number % len(_MARKERS)]
    return Look(_COLOURS[number % len(_COLOURS)], marker, symbol)


def svg(draw: "Callable[[Axes], None]", name: str, title: str) -> str:
    """Return a figure as a part of a page; the same figure is the same text.

    Args:
        draw: Plots into axes.
        name: A name that no other figure of the page has.
        title: What the figure shows, for those who cannot see it: text that needs no escaping.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    style: Any = {**_STYLE, "svg.hashsalt": name}
    with rc_context(style):
        figure = Figure(figsize=_SIZE, layout="constrained")
        draw(figure.subplots())
        content = io.StringIO()
        figure.savefig(content, format="svg", transparent=True, metadata={"Date": None})
    return _as_part(content.getvalue(), title)


def _as_part(text: str, title: str) -> str:
    """Return an SVG without what only a file needs, in the colours and the font of the page around it."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # Names that all figures share.
    text = re.sub(r' id="[\w.]+_\d+"', "", text)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    # Names of metrics come from files that anybody may have written.
    label = f' role="img" aria-label="{html.escape(title)}"'
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', lambda found: found[1] + label, text, count=1)
    text = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", text)
    return text.replace(PAGE, "currentColor").strip()
