"""The shapes that scenes are made of, each of which paints itself at the size of its canvas."""

from typing import NamedTuple, Protocol

import numpy as np

from data_modules.scenes.canvas import Array, Canvas, Span, ramp
from data_modules.scenes.textures import (
    BILLOWS,
    FOLIAGE,
    GRASS,
    STAINS,
    Bond,
    Place,
    Spectrum,
    masonry,
    noise,
)

ORIGIN = Place(0, 0)


class Shape(Protocol):
    """A part of a scene that paints itself onto a canvas."""

    def paint(self, canvas: Canvas) -> None:
        """Lay the shape over what the canvas shows."""


class Surface(NamedTuple):
    """Colour and texture of a wall or roof."""

    colour: Array
    """``(3, 1, 1)`` in [0, 1]."""
    bond: Bond | None = None
    stains: float = 0.0
    """The standard deviation of its uneven brightness."""
    left: float = 1.0
    """The brightness at its left end; a round tower is brighter on one side."""
    right: float = 1.0

    def seen(self, canvas: Canvas, rows: slice, columns: slice, extent: Span) -> Array:
        """Return the colour of a window's pixels, ``(3, h, w)`` or what broadcasts to it."""
        colour = self.colour
        if self.left != self.right:
            along = (canvas.centres[columns] - extent[0]) / (extent[1] - extent[0])
            colour = colour * (self.left + (self.right - self.left) * ramp(along))
        if self.bond:
            colour = colour * masonry(canvas, self.bond, rows, columns)
        if self.stains:
            colour = colour * (1 + self.stains * noise(canvas, STAINS, ORIGIN, rows, columns))
        return colour


class Boxes(NamedTuple):
    """The rectangles where columns and rows of intervals cross: a wall, battlements, panes."""

    across: tuple[Span, ...]
    down: tuple[Span, ...]
    surface: Surface

    def paint(self, canvas: Canvas) -> None:
        """Lay the rectangles over what the canvas shows."""
        extent = (self.across[0][0], self.across[-1][1])
        columns = canvas.window(*extent)
        rows = canvas.window(self.down[0][0], self.down[-1][1])
        coverage = canvas.cover(self.down, rows)[:, None] * canvas.cover(self.across, columns)
        canvas.paint(rows, columns, coverage, self.surface.seen(canvas, rows, columns, extent))


class Slab(NamedTuple):
    """A piece with level top and bottom and straight slanted sides: a gable, a spire, a path."""

    top: float
    bottom: float
    above: Span
    """Where it begins and ends along its top."""
    below: Span
    """Where it begins and ends along its bottom."""
    surface: Surface

    def paint(self, canvas: Canvas) -> None:
        """Lay the piece over what the canvas shows."""
        extent = (min(self.above[0], self.below[0]), max(self.above[1], self.below[1]))
        columns, rows = canvas.window(*extent), canvas.window(self.top, self.bottom)
        height = self.bottom - self.top
        way = ramp((canvas.centres[rows] - self.top) / height)[:, None]
        sides = []
        for above, below in zip(self.above, self.below, strict=True):
            # Along a row, the edge of a gentle slope is as wide as the way it goes in one pixel.
            width = max(1.0, abs(below - above) / height) / canvas.size
            side = above + (below - above) * way
            sides.append(ramp((canvas.centres[columns] - side) / width + 0.5))
        coverage = sides[0] - sides[1]
        coverage *= canvas.cover(((self.top, self.bottom),), rows)[:, None]
        canvas.paint(rows, columns, coverage, self.surface.seen(canvas, rows, columns, extent))


class Shadow(NamedTuple):
    """A soft dark ellipse on the ground."""

    x: float
    y: float
    across: float
    """Half of its width."""
    down: float
    """Half of its height."""
    colour: Array

    def paint(self, canvas: Canvas) -> None:
        """Darken what the canvas shows."""
        columns = canvas.window(self.x - self.across, self.x + self.across)
        rows = canvas.window(self.y - self.down, self.y + self.down)
        right = (canvas.centres[columns] - self.x) / self.across
        down = (canvas.centres[rows] - self.y) / self.down
        inside = ramp(np.float32(1.4) * ((1 - down * down)[:, None] - right * right))
        canvas.paint(rows, columns, np.float32(0.6) * inside, self.colour)


class Arches(NamedTuple):
    """Arched openings side by side."""

    middles: tuple[float, ...]
    half: float
    """Half of an opening's width."""
    top: float
    """Where the crown of the arch is."""
    bottom: float
    pointed: float
    """0 for round arches; at 1 each side is part of a circle about the foot of the other."""
    surface: Surface

    def paint(self, canvas: Canvas) -> None:
        """Lay the openings over what the canvas shows."""
        extent = (self.middles[0] - self.half, self.middles[-1] + self.half)
        columns, rows = canvas.window(*extent), canvas.window(self.top, self.bottom)
        off = self.pointed * self.half
        radius = self.half + off
        spring = self.top + (radius * radius - off * off) ** 0.5
        middles = np.array(self.middles, np.float32)[:, None]
        reach = np.abs(canvas.centres[columns] - middles).min(0) + off
        rise = np.minimum(canvas.centres[rows] - spring, 0)[:, None]
        coverage = ramp((radius - np.hypot(reach, rise)) * canvas.size + 0.5)
        coverage *= canvas.cover(((self.top, self.bottom),), rows)[:, None]
        canvas.paint(rows, columns, coverage, self.surface.seen(canvas, rows, columns, extent))


class Tree(NamedTuple):
    """A crown of round clumps of leaves, lit from above and one side. Its trunk is a box."""

    clumps: tuple[tuple[float, float, float], ...]
    """Centre x, centre y and radius of each."""
    colour: Array
    sun: int
    """1 where the light comes from the right, -1 where it comes from the left."""
    place: Place

    def paint(self, canvas: Canvas) -> None:
        """Lay the crown over what the canvas shows."""
        x, y, radius = np.array(self.clumps, np.float32).T[:, :, None]
        ragged = 0.012
        columns = canvas.window((x - radius).min() - ragged, (x + radius).max() + ragged)
        rows = canvas.window((y - radius).min() - ragged, (y + radius).max() + ragged)
        leaves = noise(canvas, FOLIAGE, self.place, rows, columns)
        down, right = canvas.centres[rows] - y, canvas.centres[columns] - x
        depth = _depth(down, right, radius) + 0.007 * leaves
        lit = _depth(down + 0.45 * radius, right - 0.3 * self.sun * radius, radius)
        light = ramp(0.35 + lit / radius.max() + 0.22 * leaves)
        shade = np.float32(0.5) + np.float32(0.75) * light
        canvas.paint(rows, columns, ramp(depth * canvas.size + 0.5), self.colour * shade)


def _depth(down: Array, right: Array, radius: Array) -> Array:
    """Return how far inside the union of circles each pixel is (outside: below 0), ``(h, w)``.

    Args:
        down: From each circle's centre, ``(circles, h)``.
        right: The same along x, ``(circles, w)``.
        radius: ``(circles, 1)``.
    """
    # Near its edge, r - distance is (r^2 - distance^2) / 2r, which needs no root.
    down = (radius * radius - down * down) / (2 * radius)
    right = right * right / (2 * radius)
    return (down[:, :, None] - right[:, None, :]).max(0)


class Sky(NamedTuple):
    """A sky with a sun low or high in it, and clouds."""

    horizon: float
    zenith_colour: Array
    horizon_colour: Array
    sun: tuple[float, float]
    sun_colour: Array
    glow: float
    """How strongly the air around the sun shines, 0 to 1."""
    cloud_colour: Array
    cloudiness: float
    """Above this many standard deviations of the noise there are clouds."""
    places: tuple[Place, Place]
    """Clouds are the sum of two noises, so that there are a million skies and not a thousand."""

    def paint(self, canvas: Canvas) -> None:
        """Cover the upper part of the canvas."""
        rows, columns = canvas.window(0, self.horizon + 0.05), slice(0, canvas.size)
        height = ramp(1 - canvas.centres[rows] / self.horizon)[:, None]
        sky = self.horizon_colour + (self.zenith_colour - self.horizon_colour) * height**0.8
        canvas.image[:, rows] = sky
        self._shine(canvas, rows, columns)
        self._cloud(canvas, rows, columns, height)

    def _shine(self, canvas: Canvas, rows: slice, columns: slice) -> None:
        down = (canvas.centres[rows] - self.sun[1])[:, None] / np.float32(0.16)
        right = (canvas.centres[columns] - self.sun[0]) / np.float32(0.22)
        glow = self.glow * np.exp(-down * down) * np.exp(-right * right)
        canvas.paint(rows, columns, glow, self.sun_colour)

    def _cloud(self, canvas: Canvas, rows: slice, columns: slice, height: Array) -> None:
        billows = self._billows(canvas, rows, columns, 0)
        above = self._billows(canvas, rows, columns, -1)
        thick = ramp((billows - self.cloudiness) * np.float32(0.8))
        light = np.float32(0.9) + np.float32(0.11) * (billows - above)
        thick *= thick * (3 - 2 * thick) * ramp(height * np.float32(4))
        canvas.paint(rows, columns, thick, self.cloud_colour * np.minimum(light, np.float32(1.02)))

    def _billows(self, canvas: Canvas, rows: slice, columns: slice, shift: int) -> Array:
        first, second = (
            noise(canvas, BILLOWS, Place(place.down + shift, place.right), rows, columns)
            for place in self.places
        )
        return (first + second) * np.float32(0.5**0.5)


class Ridge(NamedTuple):
    """Far hills, or a row of trees: all that is below an uneven line."""

    level: float
    """Its mean height in the picture."""
    swing: float
    """The standard deviation of its height."""
    bottom: float
    colour: Array
    leaves: float
    """The standard deviation of its brightness."""
    profile: Spectrum
    place: Place

    def paint(self, canvas: Canvas) -> None:
        """Lay the ridge over what the canvas shows."""
        columns = slice(0, canvas.size)
        line = noise(canvas, self.profile, self.place, slice(0, 1), columns)
        height = self.level + self.swing * line
        rows = canvas.window(float(height.min()), self.bottom)
        coverage = ramp((canvas.centres[rows, None] - height) * canvas.size + 0.5)
        leaves = noise(canvas, FOLIAGE, self.place, rows, columns)
        canvas.paint(rows, columns, coverage, self.colour * (1 + self.leaves * leaves))


class Meadow(NamedTuple):
    """Grass from the horizon down, with flowers near by."""

    horizon: float
    far: Array
    near: Array
    flower: Array
    flowers: float
    """Above this many standard deviations of the noise there are flowers."""
    place: Place

    def paint(self, canvas: Canvas) -> None:
        """Cover the lower part of the canvas."""
        rows, columns = canvas.window(self.horizon, 1), slice(0, canvas.size)
        near = ramp((canvas.centres[rows] - self.horizon) / (1 - self.horizon))[:, None]
        grass = noise(canvas, GRASS, self.place, rows, columns)
        patches = noise(canvas, STAINS, self.place, rows, columns)
        shade = (
            1 + (np.float32(0.03) + np.float32(0.11) * near) * grass + np.float32(0.07) * patches
        )
        coverage = canvas.cover(((self.horizon, 1.0),), rows)[:, None]
        canvas.paint(rows, columns, coverage, (self.far + (self.near - self.far) * near) * shade)
        # Another part of the noise, so that flowers do not sit on the brightest blades.
        buds = noise(canvas, FOLIAGE, Place(self.place.right, self.place.down + 7), rows, columns)
        blossom = ramp((buds + near - self.flowers) * np.float32(1.5)) * coverage
        canvas.paint(rows, columns, blossom, self.flower)
