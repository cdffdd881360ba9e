"""``wavelight scaling``: how the cost of WSGM and SGM grows with the size of images."""

from collections.abc import Sequence
from pathlib import Path

import torch

from wavelight.evaluation.scaling import CPU, measure_scaling
from wavelight.evaluation.scaling_report import plot_scaling, report_scaling, write_measurements
from wavelight.support.errors import check_least
from wavelight.support.figures import empty_figure, save_figure
from wavelight.support.stopwatch import device_name


def scaling(
    sizes: list[int] | None = None,
    coarsest: int = 8,
    width: int = 32,
    eta: float = 2.0,
    kl_per_dim: float = 1e-2,
    steps: int = 4,
    repetitions: int = 5,
    out: Path | None = None,
    plot: Path | None = None,
) -> str:
    """Measure how the cost of an image grows with its size, for WSGM beside SGM, with untrained networks.

    Prints what the same steps at every size cost, and what the steps cost that both systems need for
    the same accuracy on Gaussian fields, each with exponents against the number of pixels.

    Args:
        sizes: Sides of the images, in pixels, the coarsest band's times powers of two, like [32,64]; by
            default 32, 64, ... 512.
        coarsest: Side of WSGM's coarsest band, and of the smallest feature maps of all networks, in
            pixels; WSGM has as many levels of the Haar wavelet as lead there.
        width: Channels of all features of all networks. The networks are
            untrained, which changes nothing in what they cost.
        eta: Power of the spectrum 1 / (xi^eta + |w|^eta) of the Gaussian fields that say how many
            steps are needed: 1 (natural images), or 2, where the systems differ more. This is
            calculated and not generated: Euler-Maruyama, uniform steps from time 10, the exact score,
            the same steps at every scale.
        kl_per_dim: The accuracy on those fields: the largest KL(true || sampled) per pixel, in nats.
        steps: Steps at every scale in the samples that are timed. The cost of the steps needed
            is worked out from them, in proportion.
        repetitions: How often every size of both systems is timed, in turns, after one warm-up; the
            median counts.
        out: A JSON file for all numbers, every repetition's among them.
        plot: A PNG, PDF or SVG for a figure of MACs and seconds at equal accuracy; it needs matplotlib.

    Returns:
        Two Markdown tables and the exponents.

    Raises:
        ValueError: If a value makes no sense, or there is no matplotlib to draw with.
    """
    chosen = sorted(set(sizes or [32, 64, 128, 256, 512]))
    _check(chosen, coarsest, steps, repetitions)
    figure = None if plot is None else empty_figure(plot, 9, 4)
    rows = measure_scaling(chosen, coarsest, width, eta, kl_per_dim, steps, repetitions)
    conditions = {
        "device": device_name(CPU),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "coarsest": coarsest,
        "width": width,
        "eta": eta,
        "kl_per_dim": kl_per_dim,
        "steps": steps,
        "repetitions": repetitions,
    }
    if out is not None:
        write_measurements(out, conditions, rows)
    if figure is not None and plot is not None:
        plot_scaling(rows, figure, f"Gaussian fields, eta = {eta:g}, KL/d <= {kl_per_dim:g}")
        save_figure(figure, plot)
    return report_scaling(conditions, rows)


# --- input and output ---


def _check(sizes: Sequence[int], coarsest: int, steps: int, repetitions: int) -> None:
    check_least({"coarsest": (coarsest, 1), "steps": (steps, 1), "repetitions": (repetitions, 1)})
    for size in sizes:
        times, rest = divmod(size, coarsest)
        if rest or times < 2 or times & (times - 1):
            raise ValueError(
                f"sizes must be coarsest = {coarsest} pixels times a power of 2 above 1, got {size}"
            )
    if len(sizes) < 2:
        raise ValueError(
            f"sizes must name at least two image sizes to fit an exponent, got {len(sizes)}"
        )
