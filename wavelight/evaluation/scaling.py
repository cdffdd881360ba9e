"""The cost of systems of any size, measured."""

import sys
from collections.abc import Sequence
from functools import partial
from math import log, nan
from statistics import linear_regression, median
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from wavelight.diffusion.noise_level_sampling import UniformTimesteps
from wavelight.diffusion.parameterizations import EpsPrediction
from wavelight.diffusion.processes import OrnsteinUhlenbeck
from wavelight.diffusion.samplers import euler_maruyama
from wavelight.diffusion.schedules import Uniform
from wavelight.models import ScoreModel
from wavelight.networks import ImprovedUNet
from wavelight.support.stopwatch import seconds_of
from wavelight.systems import SGM, WSGM, ImageGenerator
from wavelight.systems.cost import NetworkCost, cost
from wavelight.theory import System, steps_needed

if TYPE_CHECKING:
    pass

SEED = 0

TIMED_FROM = 128
"""Side of the smallest images whose times are fitted: below it, what is no arithmetic weighs more."""


_CHANNELS = 3


_WAVELET = "haar"


_HORIZON = 10.0


CPU = torch.device("cpu")


_PIXELS_AT_ONCE = 512**2
"""So a sample keeps processors busy and takes about as long at every size."""


SYSTEMS = (System.WSGM, System.SGM)


class Measurement(NamedTuple):
    """Cost of a system at one image size."""

    system: System
    size: int
    steps: int
    """Steps at every scale, in the samples that are timed."""

    networks: list[NetworkCost]
    """Cost of one image in those steps, network by network."""

    needed: int
    """Steps at every scale for the accuracy asked for."""

    images: int
    """Images generated at once."""

    batch_seconds: list[float]
    """Seconds of each repetition, in the steps that are timed."""

    @property
    def pixels(self) -> int:
        """Pixels of an image."""
        return self.size**2

    @property
    def evaluations(self) -> int:
        """NFE of an image in the steps that are timed, of all networks together."""
        return sum(network.evaluations for network in self.networks)

    @property
    def macs(self) -> int:
        """MACs of an image in the steps that are timed."""
        return sum(network.macs for network in self.networks)

    @property
    def seconds(self) -> float:
        """The median time of an image in the steps that are timed."""
        return median(self.batch_seconds) / self.images

    @property
    def macs_needed(self) -> int:
        """MACs of an image in the steps needed: a step evaluates a network once."""
        return self.macs * self.needed // self.steps

    @property
    def seconds_needed(self) -> float:
        """The time of an image in the steps needed, in proportion to the steps that were timed."""
        return self.seconds * self.needed / self.steps


# --- measuring ---


def measure_scaling(
    sizes: Sequence[int],
    coarsest: int,
    width: int,
    eta: float,
    kl_per_dim: float,
    steps: int,
    rounds: int,
) -> list[Measurement]:
    """Count and time both systems at every size; for the arguments, see :func:`scaling`.

    Returns:
        WSGM's measurements, then SGM's, in the order of the sizes.

    Raises:
        ValueError: If no number of steps gives the accuracy, or networks cannot have the width.
    """
    systems, rows = [], []
    for kind in SYSTEMS:
        for size in sizes:
            needed = steps_needed(
                kind, size, eta, kl_per_dim, _WAVELET, levels=_levels(size, coarsest)
            )
            system = system_of_size(kind, size, coarsest, width, steps)
            images = images_at_once(size)
            systems.append(system)
            rows.append(
                Measurement(kind, size, steps, cost(system), needed, images, batch_seconds=[])
            )
    times = _time(systems, [row.images for row in rows], rounds)
    return [row._replace(batch_seconds=seconds) for row, seconds in zip(rows, times, strict=True)]


def system_of_size(
    system: System, size: int, coarsest: int, width: int, steps: int
) -> ImageGenerator:
    """Return an untrained system whose networks all have the same width.

    Args:
        system: Which.
        size: Side of the images.
        coarsest: Side of WSGM's coarsest band, and of all networks' smallest feature maps.
        width: Channels of all features.
        steps: Uniform steps of Euler-Maruyama at every scale.

    Raises:
        ValueError: If networks cannot have the width.
    """
    network = partial(
        ImprovedUNet,
        width=width,
        multipliers=[1],
        attention_resolutions=[],
        blocks=1,
        heads=1,
        # Wherever a network starts, it ends at the same resolution, as WSGM's published networks do.
        smallest_side=coarsest,
    )
    model = partial(
        ScoreModel,
        network=network,
        optimizer=torch.optim.Adam,
        process=OrnsteinUhlenbeck(_HORIZON),
        parameterization=EpsPrediction(),
        noise_level_sampling=UniformTimesteps(),
        sampler=euler_maruyama,
        schedule=Uniform(),
        steps=steps,
    )
    shared: Any = {"image_size": size, "seed": SEED, "channels": _CHANNELS}
    if system is System.SGM:
        return SGM(model=model, **shared).eval()
    levels = _levels(size, coarsest)
    return WSGM(coarse=model, details=model, levels=levels, wavelet=_WAVELET, **shared).eval()


def images_at_once(size: int) -> int:
    """Return how many images are generated at once: as many pixels at every size, an image at least.

    >>> images_at_once(32), images_at_once(512)
    (256, 1)
    """
    return max(1, _PIXELS_AT_ONCE // size**2)


def _time(
    systems: Sequence[ImageGenerator], images: Sequence[int], rounds: int
) -> list[list[float]]:
    """Return the seconds of each system's samples, which take turns, so that a slow minute is everybody's."""
    runs = [
        partial(system.generate, torch.arange(number), SEED)
        for system, number in zip(systems, images, strict=True)
    ]
    seconds: list[list[float]] = []
    for turn in range(rounds + 1):
        sys.stderr.write(f"round {turn} of {rounds}\n" if turn else "warm-up\n")
        seconds.append([seconds_of(CPU, run) for run in runs])
    return [list(each) for each in zip(*seconds[1:], strict=True)]


def exponent(pixels: Sequence[int], values: Sequence[float]) -> float:
    """Return the power of the number of pixels that fits the values best: least squares of logarithms.

    Args:
        pixels: Pixels of each image, positive.
        values: Cost of each, positive.

    Returns:
        The power; nan for fewer than two sizes.

    >>> round(exponent([4, 16, 64], [2.0, 4.0, 8.0]), 6)
    0.5
    """
    if len(set(pixels)) < 2:
        return nan
    return linear_regression(list(map(log, pixels)), list(map(log, values))).slope


def _levels(side: int, coarsest: int) -> int:
    """Return how often a side halves down to the coarsest."""
    return (side // coarsest).bit_length() - 1
