"""Textures of surfaces: noise for clouds, grass and leaves; courses of brick, stone or shingle."""

from functools import cache
from typing import NamedTuple

import numpy as np

from data_modules.scenes.canvas import Array, Canvas

LARGEST = 1024
"""The side of the largest picture that the noise has detail for."""

STEPS = 32
"""Noise is moved by steps of 1/32 of its period, which are whole pixels at the usual sizes."""


class Spectrum(NamedTuple):
    """A kind of noise: its amplitude at f cycles a picture is f^-falloff, from a lowest f on."""

    key: int
    falloff: float
    lowest: float
    stretch: float = 1.0
    """How much longer its blots are along x than along y."""


BILLOWS = Spectrum(1, falloff=1.9, lowest=2.0, stretch=2.0)
FOLIAGE = Spectrum(2, falloff=1.1, lowest=10.0)
GRASS = Spectrum(3, falloff=0.9, lowest=24.0, stretch=0.4)
STAINS = Spectrum(4, falloff=1.1, lowest=3.0)


class Place(NamedTuple):
    """Which part of a periodic noise to look at, in steps along y and x."""

    down: int
    right: int


def noise(canvas: Canvas, spectrum: Spectrum, place: Place, rows: slice, columns: slice) -> Array:
    """Return noise of mean 0 and, were all of its detail visible, variance 1, ``(h, w)``."""
    tile = _tile(spectrum, canvas.size)
    top = round(place.down % STEPS * canvas.size / STEPS)
    left = round(place.right % STEPS * canvas.size / STEPS)
    return tile[top + rows.start : top + rows.stop, left + columns.start : left + columns.stop]


@cache
def _tile(spectrum: Spectrum, size: int) -> Array:
    """Return two by two periods of a noise whose period is one picture, ``(2 size, 2 size)``.

    The Fourier coefficients are the same at every size; a smaller picture has fewer of them, each
    weighted as the mean over a pixel weights it.
    """
    amplitude, power = _amplitudes(spectrum)
    down = np.fft.fftfreq(size, 1 / size).astype(int)[:, None]
    right = np.arange(size // 2 + 1)
    # The mean over a pixel, taken about its middle.
    pixel = (
        np.sinc(down / size) * np.sinc(right / size) * np.exp(1j * np.pi * (down + right) / size)
    )
    field = np.fft.irfft2(amplitude[down, right] * pixel, (size, size), norm="forward")
    return np.tile((field / np.sqrt(power)).astype(np.float32), (2, 2))


@cache
def _amplitudes(spectrum: Spectrum) -> tuple[np.ndarray, float]:
    """Return the Fourier coefficients ``(LARGEST, LARGEST // 2 + 1)``, and the noise's variance."""
    down = np.fft.fftfreq(LARGEST, 1 / LARGEST)[:, None]
    right = np.arange(LARGEST // 2 + 1)
    frequency = np.maximum(np.hypot(down / spectrum.stretch, right), 0.5)
    size = np.where(frequency < spectrum.lowest, 0, frequency**-spectrum.falloff)
    phase = np.random.default_rng(spectrum.key).random(size.shape)
    return size * np.exp(2j * np.pi * phase), 2 * float((size**2).sum())


class Bond(NamedTuple):
    """How bricks, stones or shingles are laid: half a length off from course to course."""

    course: float
    """The height of a course, in widths of the picture."""
    length: float
    """The length of a brick, in heights of its course."""
    joint: float
    """The width of the joints, in heights of a course."""
    contrast: float
    """How much darker than the wall (below 0: lighter) the joints are."""
    variety: float
    """The standard deviation of the bricks' brightness."""


BRICK = Bond(1 / 80, length=2.4, joint=0.2, contrast=-0.3, variety=0.1)
ASHLAR = Bond(1 / 44, length=1.9, joint=0.1, contrast=0.3, variety=0.09)
SHINGLE = Bond(1 / 60, length=1.1, joint=0.2, contrast=0.35, variety=0.08)


def masonry(canvas: Canvas, bond: Bond, rows: slice, columns: slice) -> Array | float:
    """Return the brightness of a wall around 1, ``(h, w)``, each pixel the mean of what it shows.

    Courses of a pixel or less are not seen: a single number is returned for them.
    """
    size = bond.course * canvas.size
    across = 1 - bond.joint / bond.length
    if size <= 1:
        return 1 - bond.contrast * (1 - (1 - bond.joint) * across)
    down = canvas.edges[rows.start : rows.stop + 1] / bond.course
    right = canvas.edges[columns.start : columns.stop + 1] / (bond.course * bond.length)
    even = _pulses(down / 2, bond.joint / 2, 0.5)[:, None]
    odd = _pulses(down / 2, (bond.joint + 1) / 2, 1.0)[:, None]
    face = even * _pulses(right, 1 - across, 1.0) + odd * _pulses(right + 0.5, 1 - across, 1.0)
    face *= bond.contrast + min(size - 1, 1) * bond.variety * _tones(down, right)
    return face + np.float32(1 - bond.contrast)


def _pulses(edges: Array, start: float, stop: float) -> Array:
    """Return each pixel's share of the intervals ``start`` to ``stop`` of every unit of length."""
    whole = np.floor(edges)
    part = np.minimum(np.maximum(edges - whole, start), stop) - start
    return np.diff(whole * (stop - start) + part) / (edges[1] - edges[0])


def _tones(down: Array, right: Array) -> Array:
    """Return one random number a brick, looked up for every pixel."""
    course = ((down[1:] + down[:-1]) / 2).astype(int)
    middle = (right[1:] + right[:-1]) / 2
    table = _table()[course % len(_table())]
    tones = table[:, middle.astype(int) % table.shape[1]]
    odd = course % 2 == 1
    tones[odd] = table[odd][:, (middle + 0.5).astype(int) % table.shape[1]]
    return tones


@cache
def _table() -> Array:
    return np.random.default_rng(0).standard_normal((61, 67)).astype(np.float32)
