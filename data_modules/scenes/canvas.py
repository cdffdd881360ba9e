"""A square picture under way, and how much of each of its pixels a shape covers."""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
"""A field of brightness or coverage: float32, ``(H, W)``, or what broadcasts to it."""

Span = tuple[float, float]
"""Where an interval begins and ends, in widths of the picture."""


class Canvas:
    """A square picture that shapes are painted onto, back to front.

    Places are given in widths of the picture, x to the right and y downwards from the top left
    corner, so that a shape is the same at any size. A pixel is a little square, and what a shape
    covers of it is its share of area: so a small picture looks like a large one made smaller, and
    what is finer than a pixel fades.

    Args:
        size: The side of the picture in pixels.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.edges = _edges(size)
        self.centres = _centres(size)
        self.image = np.zeros((3, size, size), np.float32)

    def window(self, low: float, high: float) -> slice:
        """Return the pixels of a row or column that an interval touches, and one on each side."""
        first = min(max(int(low * self.size) - 1, 0), self.size)
        last = min(max(int(high * self.size) + 2, first), self.size)
        return slice(first, last)

    def cover(self, spans: Sequence[Span], window: slice) -> Array:
        """Return the share of each of a window's pixels that lies in disjoint intervals."""
        edges = self.edges[window.start : window.stop + 1]
        if len(spans) == 1:
            inside = np.minimum(np.maximum(edges, spans[0][0]), spans[0][1])
            return (inside[1:] - inside[:-1]) * self.size
        low, high = np.array(spans, np.float32).T[:, :, None]
        return np.diff(np.minimum(np.maximum(edges, low), high)).sum(0) * self.size

    def paint(self, rows: slice, columns: slice, coverage: Array, colour: Array) -> None:
        """Lay a colour over a window of the picture.

        Args:
            rows: The window's rows.
            columns: The window's columns.
            coverage: How much of each pixel to replace, 0 to 1, ``(h, w)``.
            colour: ``(3, h, w)`` in [0, 1], or what broadcasts to it.
        """
        region = self.image[:, rows, columns]
        region += coverage * (colour - region)

    def finished(self) -> NDArray[np.uint8]:
        """Return the picture, ``(3, size, size)`` of 0 to 255."""
        image = np.minimum(np.maximum(self.image, 0), 1)
        image *= 255
        image += 0.5
        return image.astype(np.uint8)


def ramp(value: Array) -> Array:
    """Return the values, cut off at 0 and 1."""
    return np.minimum(np.maximum(value, np.float32(0)), np.float32(1))


@cache
def _edges(size: int) -> Array:
    return np.linspace(0, 1, size + 1, dtype=np.float32)


@cache
def _centres(size: int) -> Array:
    return ((np.arange(size) + 0.5) / size).astype(np.float32)
