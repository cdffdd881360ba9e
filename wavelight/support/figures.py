"""Figures of commands: matplotlib, which is an extra, without a screen."""

from pathlib import Path
from typing import TYPE_CHECKING

from wavelight.support.files import draft_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def empty_figure(width: float, height: float) -> "Figure":
    """Return a figure to plot into; made before the work, matplotlib is not missed after it.

    Args:
        width: In inches.
        height: In inches.

    Raises:
        ValueError: If matplotlib is not installed.
    """
    try:
        # Not pyplot, which looks for a screen.
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ValueError("plotting needs matplotlib: pip install matplotlib") from error
    return Figure(figsize=(width, height), layout="constrained")


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a figure as PNG, and make the folders that it wants."""
    with draft_of(path) as draft:
        figure.savefig(draft, dpi=150, format="png")
