"""The growth of cost as a table and a figure."""

from collections.abc import Iterable, Sequence
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wavelight.support.files import write_json
from wavelight.support.tables import markdown_table
from wavelight.theory import System

if TYPE_CHECKING:
    from matplotlib.figure import Figure
from wavelight.evaluation.scaling import SYSTEMS, TIMED_FROM, Measurement, exponent

_CONDITIONS = (
    "{device}, torch {torch}, float32, {threads} threads. Untrained networks, all features of {width} channels, images "
    "of 3 channels; WSGM's coarsest band is {coarsest}x{coarsest}, its wavelet Haar.\n"
    'NFE: evaluations of networks. GMACs: 10^9 MACs. Both and the seconds are of one image; "at once" is how '
    "many were generated together. Seconds: median of {repetitions} rounds, in which all take turns.\n"
    "With equal widths, a step at all scales of WSGM has about a third of SGM's pixels; with the widths published for "
    "128 pixels it costs 0.89 of one of SGM's."
)


_SAME = "{steps} steps at every scale."


_EQUAL = (
    "The steps with which KL/d <= {kl_per_dim:g} for eta = {eta:g}, calculated: Euler-Maruyama, uniform steps, exact "
    "score, as many at every scale. MACs and seconds are those of {steps} steps, in proportion."
)


def report_scaling(conditions: dict[str, Any], rows: Sequence[Measurement]) -> str:
    """Return both tables with their captions, as Markdown."""
    pairs = _pairs(rows)
    return "\n".join(
        [
            _CONDITIONS.format(**conditions),
            "",
            "## The same steps at every size",
            "",
            _SAME.format(**conditions),
            _fitted(rows, "macs", "seconds"),
            "",
            *markdown_table([_same_steps(*pair) for pair in pairs]),
            "",
            "## Equal accuracy on Gaussian fields",
            "",
            _EQUAL.format(**conditions),
            _fitted(rows, "macs_needed", "seconds_needed"),
            "",
            *markdown_table([_steps_needed(*pair) for pair in pairs]),
        ]
    )


def _fitted(rows: Sequence[Measurement], macs: str, seconds: str) -> str:
    """Return the sentence with both systems' exponents."""
    sizes = sorted({row.size for row in rows})
    timed = [size for size in sizes if size >= TIMED_FROM]
    return (
        f"Exponents against pixels: {_exponents(rows, macs, sizes)} of MACs; "
        f"{_exponents(rows, seconds, timed)} of seconds."
    )


def _exponents(rows: Sequence[Measurement], attribute: str, sizes: Sequence[int]) -> str:
    fits = {system: _exponent_of(rows, system, attribute, sizes) for system in SYSTEMS}
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
    wsgm, sgm = ([row for row in rows if row.system is system] for system in SYSTEMS)
    return list(zip(wsgm, sgm, strict=True))


def _same_steps(wsgm: Measurement, sgm: Measurement) -> dict[str, str]:
    cells = {"pixels": str(wsgm.size), "at once": str(wsgm.images)}
    for row in (wsgm, sgm):
        cells |= {
            f"{row.system.name} NFE": str(row.evaluations),
            f"{row.system.name} GMACs": _four_digits(row.macs / 1e9),
            f"{row.system.name} s": _four_digits(row.seconds),
        }
    return cells


def _steps_needed(wsgm: Measurement, sgm: Measurement) -> dict[str, str]:
    cells = {"pixels": str(wsgm.size)}
    for row in (wsgm, sgm):
        cells |= {
            f"{row.system.name} steps": str(row.needed),
            f"{row.system.name} GMACs": _four_digits(row.macs_needed / 1e9),
            f"{row.system.name} s": _four_digits(row.seconds_needed),
        }
    return cells | {
        "SGM / WSGM GMACs": f"{sgm.macs_needed / wsgm.macs_needed:.2f}",
        "SGM / WSGM s": f"{sgm.seconds_needed / wsgm.seconds_needed:.2f}",
    }


def _four_digits(number: float) -> str:
    return f"{number:.0f}" if number >= 1000 else f"{number:.4g}"


def plot_scaling(rows: Sequence[Measurement], figure: "Figure", title: str) -> None:
    """Sample what both systems cost in the steps they need, against pixels, beside lines of exponent 1.

    Args:
        rows: Rows of :func:`measure`.
        figure: An empty one.
        title: Says which steps are needed.
    """
    sizes = sorted({row.size for row in rows})
    # Lines of exponent 1 begin where fits do.
    timed = next((place for place, size in enumerate(sizes) if size >= TIMED_FROM), 0)
    macs, seconds = figure.subplots(1, 2)
    for axes, attribute, scale, first, label in (
        (macs, "macs_needed", 1e9, 0, "10^9 MACs of an image"),
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


def write_measurements(path: Path, conditions: dict[str, Any], rows: Sequence[Measurement]) -> None:
    """Write all numbers as JSON."""
    shown = [
        row._asdict()
        | {
            "seconds": row.seconds,
            "seconds_needed": row.seconds_needed,
            "networks": [network._asdict() for network in row.networks],
            "macs_needed": row.macs_needed,
        }
        for row in rows
    ]
    write_json(path, {"conditions": conditions, "measurements": shown})
