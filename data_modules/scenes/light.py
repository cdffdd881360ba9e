"""The hours of a day: what they do to the sky, to the colours of things, and to windows."""

from functools import cache
from typing import NamedTuple

import numpy as np

from data_modules.scenes.canvas import Array


@cache
def rgb(red: int, green: int, blue: int) -> Array:
    """Return a colour of channels 0 to 255 as ``(3, 1, 1)`` in [0, 1]."""
    colour = np.array([red, green, blue], np.float32).reshape(3, 1, 1) / np.float32(255)
    colour.flags.writeable = False
    return colour


def mix(first: Array, second: Array, share: float) -> Array:
    """Return the colour that lies a share of the way from the first to the second."""
    return first + (second - first) * np.float32(share)


class Light(NamedTuple):
    """An hour's colours; ``tint`` multiplies those of things, and windows are ``lit`` 0 to 1."""

    zenith: Array
    horizon: Array
    sun: Array
    cloud: Array
    tint: Array
    sun_height: float
    """Where the sun stands in the picture; it is above it at noon."""
    glow: float
    lit: float

    def on(self, colour: Array) -> Array:
        """Return the colour of a thing in this light."""
        return colour * self.tint

    def window(self) -> Array:
        """Return the colour of a window: dark by day, lit in the evening."""
        return mix(rgb(38, 48, 68), rgb(255, 206, 112), min(max(8 * self.lit - 2, 0), 1))


_HOURS = (
    Light(
        zenith=rgb(86, 132, 200),
        horizon=rgb(252, 214, 180),
        sun=rgb(255, 240, 200),
        cloud=rgb(255, 232, 214),
        tint=rgb(250, 236, 220),
        sun_height=0.5,
        glow=0.6,
        lit=0.0,
    ),
    Light(
        zenith=rgb(44, 108, 204),
        horizon=rgb(172, 212, 246),
        sun=rgb(255, 255, 240),
        cloud=rgb(252, 252, 252),
        tint=rgb(255, 255, 252),
        sun_height=-0.15,
        glow=0.25,
        lit=0.0,
    ),
    Light(
        zenith=rgb(58, 72, 150),
        horizon=rgb(255, 164, 92),
        sun=rgb(255, 222, 130),
        cloud=rgb(238, 142, 118),
        tint=rgb(232, 176, 150),
        sun_height=0.56,
        glow=0.85,
        lit=0.5,
    ),
    Light(
        zenith=rgb(24, 32, 84),
        horizon=rgb(120, 104, 164),
        sun=rgb(206, 140, 170),
        cloud=rgb(84, 84, 140),
        tint=rgb(118, 122, 168),
        sun_height=0.72,
        glow=0.5,
        lit=1.0,
    ),
)


def light_at(hour: float) -> Light:
    """Return the light of an hour, between those of 0 morning, 1 noon, 2 evening and 3 dusk."""
    before = min(int(hour), len(_HOURS) - 2)
    share = np.float32(hour - before)
    return Light(*(a + (b - a) * share for a, b in zip(*_HOURS[before : before + 2], strict=True)))
