"""Site of a building: random numbers, the light, and a place to stand."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from data_modules.scenes.canvas import Array, Span
from data_modules.scenes.light import Light, rgb
from data_modules.scenes.shapes import Shape, Slab, Surface
from data_modules.scenes.textures import STEPS, Place

Item = TypeVar("Item")


class Draws:
    """Hands out random numbers one at a time, drawn together because that is much faster."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._numbers = iter(rng.random(256).tolist())

    def between(self, low: float, high: float) -> float:
        """Draw a number of [low, high)."""
        return low + (high - low) * next(self._numbers)

    def below(self, stop: int) -> int:
        """Draw one of 0 to ``stop`` - 1."""
        return int(stop * next(self._numbers))

    def one_of(self, items: Sequence[Item]) -> Item:
        """Draw one of the items."""
        return items[self.below(len(items))]

    def side(self) -> int:
        """Draw -1 for left or 1 for right."""
        return self.one_of((-1, 1))

    def place(self) -> Place:
        """Draw a place in a noise."""
        return Place(self.below(STEPS), self.below(STEPS))


class Site(NamedTuple):
    """Where the building stands, and in what light."""

    middle: float
    base: float
    """Where its walls meet the ground."""
    sun: int
    """1 where the sun is on the right, -1 where it is on the left."""
    light: Light

    def surface(self, wall: Surface, brightness: float = 1.0) -> Surface:
        """Return a surface in this light."""
        return wall._replace(colour=self.light.on(wall.colour) * np.float32(brightness))

    def round(self, wall: Surface, lit: float, dark: float) -> Surface:
        """Return a surface in this light that is lit on the sun's side and dark on the other."""
        left, right = self.faces(lit, dark)
        return self.surface(wall._replace(left=left, right=right))

    def plain(self, colour: Array) -> Surface:
        """Return a surface of one colour in this light."""
        return Surface(self.light.on(colour))

    def window(self) -> Surface:
        """Return the surface of a window."""
        return Surface(self.light.window())

    def faces(self, lit: float, dark: float) -> tuple[float, float]:
        """Return which brightness is on the left and which on the right."""
        return (lit, dark) if self.sun < 0 else (dark, lit)

    def path(self, x: float, half: float) -> Shape:
        """Return a sandy path from a door at ``x`` towards who looks at the picture."""
        sand = self.surface(Surface(rgb(204, 184, 140), stains=0.06))
        return Slab(self.base, 1.0, around(x, half), around(0.2 + 0.6 * x, 0.14), sand)


def around(middle: float, half: float) -> Span:
    """Return the interval of a middle and half a width."""
    return middle - half, middle + half


def each(middles: Iterable[float], half: float) -> tuple[Span, ...]:
    """Return an interval of the same width around each middle."""
    return tuple(around(middle, half) for middle in middles)


def spaced(first: float, pitch: float, repeats: int) -> tuple[float, ...]:
    """Return evenly spaced middles."""
    return tuple(first + number * pitch for number in range(repeats))
