"""Figures of commands: matplotlib, which is an extra, without a screen."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from wavelight.support.files import draft_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_METADATA: dict[str, dict[str, None]] = {
    ".pdf": {"CreationDate": None},
    ".png": {},
    ".svg": {"Date": None},
}
"""What a file would hold beside the figure, by the endings of figures: the same figure is the same file."""

_FAR_APART = 5
"""How many times the smallest value the largest is where an axis is logarithmic."""

_TICKS_OF_POWERS = 200
"""The same where powers of ten alone have ticks."""


def empty_figure(path: Path, width: float, height: float) -> "Figure":
    """Return a figure to plot into; made before the work, neither matplotlib nor the ending is missed after it.

    Args:
        path: The file that it is for: PDF, PNG or SVG, as its ending says.
        width: In inches.
        height: In inches.

    Raises:
        ValueError: If it is another kind of file, or matplotlib is not installed.
    """
    if path.suffix.lower() not in _METADATA:
        raise ValueError(f"plot must end with {', '.join(_METADATA)}, got {path}")
    try:
        # Not pyplot, which looks for a screen.
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ValueError("plotting needs matplotlib: pip install matplotlib") from error
    return Figure(figsize=(width, height), layout="constrained")


def count_in_numbers(axes: "Axes", name: Literal["x", "y"], values: Sequence[float]) -> None:
    """Let an axis be logarithmic where values lie far apart and none is below 0, with ticks that are plain numbers.

    Args:
        axes: The axes.
        name: Which of both.
        values: All values on it, at least one.
    """
    from matplotlib.ticker import LogLocator, NullFormatter

    axis = {"x": axes.xaxis, "y": axes.yaxis}[name]
    # Of less than that, a logarithmic axis has one tick or none.
    if min(values) > 0 and max(values) > _FAR_APART * min(values):
        scale = {"x": axes.set_xscale, "y": axes.set_yscale}[name]
        scale("log", nonpositive="clip")
        wide = max(values) > _TICKS_OF_POWERS * min(values)
        axis.set_major_locator(LogLocator(subs=(1,) if wide else (1, 2, 5), numticks=12))
        axis.set_minor_formatter(NullFormatter())
    axis.set_major_formatter("{x:g}")


def count_from(axes: "Axes", low: float, high: float, values: Sequence[float]) -> None:
    """Let the vertical axis be linear, from one number to another, or to the highest value above it."""
    top = max(high, *values)
    margin = 0.02 * (top - low)
    axes.set_ylim(low - margin, top + margin)
    axes.yaxis.set_major_formatter("{x:g}")


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a figure as what the file's ending says, and make the folders that it wants."""
    from matplotlib import rc_context

    suffix = path.suffix.lower()
    # Names of its parts are random otherwise.
    with draft_of(path) as draft, rc_context({"svg.hashsalt": "wavelight"}):
        figure.savefig(draft, dpi=150, format=suffix[1:], metadata=_METADATA[suffix])
