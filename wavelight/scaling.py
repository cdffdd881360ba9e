"""How the cost of an image grows with its size: WSGM beside SGM, counted and timed, ``python -m wavelight scaling``.

Two questions are kept apart. With the same steps at every scale and size, what a step costs must grow
as the number of pixels. At equal quality, the number of steps counts, too: on Gaussian fields it is
known exactly how many each system needs (:mod:`wavelight.theory`), and only SGM's grow.

All networks have equal widths and go down to feature maps of the coarsest band's size, where their
only attention is. So a network's cost is very nearly proportional to its pixels.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from functools import partial
from math import isnan, log, nan
from pathlib import Path
from statistics import linear_regression, median
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from wavelight.cost import NetworkCost, cost
from wavelight.diffusion.parameterizations import Epsilon
from wavelight.diffusion.processes import OrnsteinUhlenbeck
from wavelight.diffusion.samplers import euler_maruyama
from wavelight.diffusion.schedules import Uniform
from wavelight.diffusion.training_times import UniformTimes
from wavelight.errors import check_least
from wavelight.figures import empty_figure, save_figure
from wavelight.models import ScoreModel
from wavelight.networks import ImprovedUNet
from wavelight.systems import SGM, WSGM, ImageGenerator
from wavelight.theory import System, steps_needed
from wavelight.timing import device_name, markdown_table, seconds_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TIMED_FROM = 128
"""Side of the smallest images whose times are fitted: below it, what is no arithmetic weighs more."""

_CHANNELS = 3

_WAVELET = "haar"

_HORIZON = 10.0

_SEED = 0

_CPU = torch.device("cpu")

_PIXELS_AT_ONCE = 512**2
"""So a draw keeps processors busy and takes about as long at every size."""

_SYSTEMS = (System.WSGM, System.SGM)

_CONDITIONS = (
    "{device}, torch {torch}, float32, {threads} threads. Untrained networks, all features of {width} channels, images "
    "of 3 channels; WSGM's coarsest band is {coarsest}x{coarsest}, its wavelet Haar.\n"
    'NFE: evaluations of networks. GMAC: 10^9 multiply-adds. Both and the seconds are of one image; "at once" is how '
    "many were drawn together. Seconds: median of {rounds} rounds, in which all take turns.\n"
    "With equal widths, a step at all scales of WSGM has about a third of SGM's pixels; with the widths published for "
    "128 pixels it costs 0.89 of one of SGM's."
)
_SAME = "{steps} steps at every scale."
_EQUAL = (
    "The steps with which KL/d <= {kl_per_dim:g} for eta = {eta:g}, calculated: Euler-Maruyama, uniform steps, exact "
    "score, as many at every scale. Multiply-adds and seconds are those of {steps} steps, in proportion."
)


class Measurement(NamedTuple):
    """What a system costs at one size."""

    system: System
    size: int
    steps: int
    """At every scale, in what is timed."""

    networks: list[NetworkCost]
    """Of one image in those steps."""

    needed: int
    """Steps at every scale for the accuracy asked for."""

    images: int
    """How many were drawn at once."""

    draws: list[float]
    """Seconds of each repetition, in the steps that are timed."""

    @property
    def pixels(self) -> int:
        """Of an image."""
        return self.size**2

    @property
    def evaluations(self) -> int:
        """NFE of an image in the steps that are timed, of all networks together."""
        return sum(network.evaluations for network in self.networks)

    @property
    def multiply_adds(self) -> int:
        """Of an image in the steps that are timed."""
        return sum(network.multiply_adds for network in self.networks)

    @property
    def seconds(self) -> float:
        """The median time of an image in the steps that are timed."""
        return median(self.draws) / self.images

    @property
    def multiply_adds_needed(self) -> int:
        """Of an image in the steps needed: a step evaluates a network once."""
        return self.multiply_adds * self.needed // self.steps

    @property
    def seconds_needed(self) -> float:
        """The time of an image in the steps needed, in proportion to the steps that were timed."""
        return self.seconds * self.needed / self.steps


def scaling(
    sizes: list[int] | None = None,
    coarsest: int = 8,
    width: int = 32,
    eta: float = 2.0,
    kl_per_dim: float = 1e-2,
    steps: int = 4,
    rounds: int = 5,
    out: Path | None = None,
    plot: Path | None = None,
) -> str:
    """Measure how the cost of an image grows with its size, for WSGM beside SGM, with untrained networks.

    Prints what the same steps at every size cost, and what the steps cost that both systems need for
    the same accuracy on Gaussian fields, each with exponents against the number of pixels.

    Args:
        sizes: Sides of the images, in pixels, the coarsest band's times powers of two; none takes
            32, 64, ... 512.
        coarsest: Side of WSGM's coarsest band, and of the smallest feature maps of all networks, in
            pixels; WSGM has as many levels of the Haar wavelet as lead there.
        width: Channels of all features of all networks. The networks are
            untrained, which changes nothing in what they cost.
        eta: Power of the spectrum 1 / (xi^eta + |w|^eta) of the Gaussian fields that say how many
            steps are needed: 1 (natural images), or 2, where the systems differ more. This is
            calculated and not drawn: Euler-Maruyama, uniform steps from time 10, the exact score,
            the same steps at every scale.
        kl_per_dim: The accuracy on those fields: the largest KL(true || sampled) per pixel, in nats.
        steps: Steps at every scale in the draws that are timed. What the steps needed take is
            worked out from them, in proportion.
        rounds: How often every size of both systems is timed, in turns, after one warm-up; the
            median counts.
        out: A JSON file for all numbers, every repetition's among them.
        plot: A PNG to draw multiply-adds and seconds at equal accuracy into; it needs matplotlib.

    Returns:
        Two Markdown tables and the exponents.

    Raises:
        ValueError: If a value makes no sense, or there is no matplotlib to draw with.
    """
    chosen = sorted(set(sizes or [32, 64, 128, 256, 512]))
    _check(chosen, coarsest, steps, rounds)
    figure = None if plot is None else empty_figure(9, 4)
    rows = measure(chosen, coarsest, width, eta, kl_per_dim, steps, rounds)
    conditions = {
        "device": device_name(_CPU),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "coarsest": coarsest,
        "width": width,
        "eta": eta,
        "kl_per_dim": kl_per_dim,
        "steps": steps,
        "rounds": rounds,
    }
    if out is not None:
        _write(out, conditions, rows)
    if figure is not None and plot is not None:
        draw(rows, figure, f"Gaussian fields, eta = {eta:g}, KL/d <= {kl_per_dim:g}")
        save_figure(figure, plot)
    return report(conditions, rows)


# --- measuring ---


def measure(
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
    for kind in _SYSTEMS:
        for size in sizes:
            needed = steps_needed(
                kind, size, eta, kl_per_dim, _WAVELET, levels=_levels(size, coarsest)
            )
            system = build(kind, size, coarsest, width, steps)
            images = images_at_once(size)
            systems.append(system)
            rows.append(Measurement(kind, size, steps, cost(system), needed, images, draws=[]))
    draws = _time(systems, [row.images for row in rows], rounds)
    return [row._replace(draws=seconds) for row, seconds in zip(rows, draws, strict=True)]


def build(system: System, size: int, coarsest: int, width: int, steps: int) -> ImageGenerator:
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

    def model(side: int, channels: int, condition_channels: int = 0) -> ScoreModel:
        network = ImprovedUNet(
            side,
            channels,
            width,
            # Wherever a network starts, it ends at the same resolution, as WSGM's published networks do.
            multipliers=[1] * (_levels(side, coarsest) + 1),
            attention_resolutions=[],
            blocks=1,
            heads=1,
            condition_channels=condition_channels,
        )
        process = OrnsteinUhlenbeck(_HORIZON)
        return ScoreModel(
            network,
            torch.optim.Adam,
            process,
            Epsilon(),
            UniformTimes(),
            euler_maruyama,
            Uniform(),
            steps,
        )

    if system is System.SGM:
        return SGM(model(size, _CHANNELS), size, _SEED, _CHANNELS).eval()
    coarse = model(coarsest, _CHANNELS)
    details = [
        model(coarsest << level, 3 * _CHANNELS, _CHANNELS)
        for level in range(_levels(size, coarsest))
    ]
    return WSGM(coarse, details, size, _SEED, _WAVELET, channels=_CHANNELS).eval()


def images_at_once(size: int) -> int:
    """Return how many images are drawn at once: as many pixels at every size, an image at least.

    >>> images_at_once(32), images_at_once(512)
    (256, 1)
    """
    return max(1, _PIXELS_AT_ONCE // size**2)


def _time(
    systems: Sequence[ImageGenerator], images: Sequence[int], rounds: int
) -> list[list[float]]:
    """Return the seconds of each system's draws, which take turns, so that a slow minute is everybody's."""
    draws = [
        partial(system.draw, torch.arange(number), _SEED)
        for system, number in zip(systems, images, strict=True)
    ]
    seconds: list[list[float]] = []
    for turn in range(rounds + 1):
        sys.stderr.write(f"round {turn} of {rounds}\n" if turn else "warm-up\n")
        seconds.append([seconds_of(_CPU, draw) for draw in draws])
    return [list(each) for each in zip(*seconds[1:], strict=True)]


def exponent(pixels: Sequence[int], values: Sequence[float]) -> float:
    """Return the power of the number of pixels that fits the values best: least squares of logarithms.

    Args:
        pixels: Of each image, positive.
        values: What each costs, positive.

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


# --- input and output ---


def _check(sizes: Sequence[int], coarsest: int, steps: int, rounds: int) -> None:
    check_least({"coarsest": (coarsest, 1), "steps": (steps, 1), "rounds": (rounds, 1)})
    for size in sizes:
        times, rest = divmod(size, coarsest)
        if rest or times < 2 or times & (times - 1):
            raise ValueError(
                f"sizes are the coarsest band's {coarsest} pixels times 2, 4, 8 ..., which {size} is not"
            )
    if len(sizes) < 2:
        raise ValueError(f"an exponent needs at least two sizes, not {len(sizes)}")


def report(conditions: dict[str, Any], rows: Sequence[Measurement]) -> str:
    """Return both tables with their captions, as Markdown."""
    pairs = _pairs(rows)
    return "\n".join(
        [
            _CONDITIONS.format(**conditions),
            "",
            "## The same steps at every size",
            "",
            _SAME.format(**conditions),
            _fitted(rows, "multiply_adds", "seconds"),
            "",
            *markdown_table([_same_steps(*pair) for pair in pairs]),
            "",
            "## Equal accuracy on Gaussian fields",
            "",
            _EQUAL.format(**conditions),
            _fitted(rows, "multiply_adds_needed", "seconds_needed"),
            "",
            *markdown_table([_steps_needed(*pair) for pair in pairs]),
        ]
    )


def _fitted(rows: Sequence[Measurement], multiply_adds: str, seconds: str) -> str:
    """Return the sentence with both systems' exponents."""
    sizes = sorted({row.size for row in rows})
    timed = [size for size in sizes if size >= TIMED_FROM]
    return (
        f"Exponents against pixels: {_exponents(rows, multiply_adds, sizes)} of multiply-adds; "
        f"{_exponents(rows, seconds, timed)} of seconds."
    )


def _exponents(rows: Sequence[Measurement], attribute: str, sizes: Sequence[int]) -> str:
    fits = {system: _exponent_of(rows, system, attribute, sizes) for system in _SYSTEMS}
    if any(map(isnan, fits.values())):
        return f"none (fewer than two sizes from {TIMED_FROM})"
    shown = " and ".join(f"{system.name} {fit:.3f}" for system, fit in fits.items())
    return f"{shown} ({sizes[0]} ... {sizes[-1]})"


def _exponent_of(
    rows: Iterable[Measurement], system: System, attribute: str, sizes: Sequence[int]
) -> float:
    fitted = [row for row in rows if row.system is system and row.size in sizes]
    return exponent([row.pixels for row in fitted], [getattr(row, attribute) for row in fitted])


def _pairs(rows: Sequence[Measurement]) -> list[tuple[Measurement, Measurement]]:
    """Return WSGM's and SGM's measurement at each size."""
    wsgm, sgm = ([row for row in rows if row.system is system] for system in _SYSTEMS)
    return list(zip(wsgm, sgm, strict=True))


def _same_steps(wsgm: Measurement, sgm: Measurement) -> dict[str, str]:
    cells = {"pixels": str(wsgm.size), "at once": str(wsgm.images)}
    for row in (wsgm, sgm):
        cells |= {
            f"{row.system.name} NFE": str(row.evaluations),
            f"{row.system.name} GMAC": _four_digits(row.multiply_adds / 1e9),
            f"{row.system.name} s": _four_digits(row.seconds),
        }
    return cells


def _steps_needed(wsgm: Measurement, sgm: Measurement) -> dict[str, str]:
    cells = {"pixels": str(wsgm.size)}
    for row in (wsgm, sgm):
        cells |= {
            f"{row.system.name} steps": str(row.needed),
            f"{row.system.name} GMAC": _four_digits(row.multiply_adds_needed / 1e9),
            f"{row.system.name} s": _four_digits(row.seconds_needed),
        }
    return cells | {
        "SGM / WSGM GMAC": f"{sgm.multiply_adds_needed / wsgm.multiply_adds_needed:.2f}",
        "SGM / WSGM s": f"{sgm.seconds_needed / wsgm.seconds_needed:.2f}",
    }


def _four_digits(number: float) -> str:
    return f"{number:.0f}" if number >= 1000 else f"{number:.4g}"


def draw(rows: Sequence[Measurement], figure: "Figure", title: str) -> None:
    """Draw what both systems cost in the steps they need, against pixels, beside lines of exponent 1.

    Args:
        rows: Of :func:`measure`.
        figure: An empty one.
        title: Says which steps are needed.
    """
    sizes = sorted({row.size for row in rows})
    # Lines of exponent 1 begin where fits do.
    timed = next((place for place, size in enumerate(sizes) if size >= TIMED_FROM), 0)
    multiply_adds, seconds = figure.subplots(1, 2)
    for axes, attribute, scale, first, label in (
        (multiply_adds, "multiply_adds_needed", 1e9, 0, "10^9 multiply-adds of an image"),
        (seconds, "seconds_needed", 1.0, timed, "seconds of an image"),
    ):
        for system, style in ((System.SGM, "--o"), (System.WSGM, "-s")):
            curve = [row for row in rows if row.system is system]
            pixels = [row.pixels for row in curve]
            values = [getattr(row, attribute) / scale for row in curve]
            (line,) = axes.plot(pixels, values, style, label=system.name)
            linear = [values[first] * each / pixels[first] for each in pixels[first:]]
            axes.plot(pixels[first:], linear, ":", color=line.get_color(), linewidth=1)
        axes.plot([], [], ":", color="gray", linewidth=1, label="in proportion to pixels")
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xticks([size**2 for size in sizes], [f"{size}x{size}" for size in sizes])
        axes.set_xlabel("pixels")
        axes.set_ylabel(label)
        axes.legend()
        axes.grid(alpha=0.3)
    figure.suptitle(title)


def _write(path: Path, conditions: dict[str, Any], rows: Sequence[Measurement]) -> None:
    shown = [
        row._asdict()
        | {
            "seconds": row.seconds,
            "seconds_needed": row.seconds_needed,
            "networks": [network._asdict() for network in row.networks],
            "multiply_adds_needed": row.multiply_adds_needed,
        }
        for row in rows
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"conditions": conditions, "measurements": shown}, indent=1) + "\n")
