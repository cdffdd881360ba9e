"""The measures of a pyramid against its levels, as figures for a paper."""

from collections.abc import Sequence
from math import exp, nan, pi, sqrt
from typing import TYPE_CHECKING

from wavelight.evaluation.bands.pyramid import (
    HISTOGRAM_BINS,
    HISTOGRAM_RANGE,
    KINDS,
    MEASURES,
    LevelMeasures,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LABELS = {
    "marginal": "marginal",
    "linear": "given LL, linear",
    "scaled": "given LL, scaled",
}
_STYLES = {"marginal": "-o", "linear": "--s", "scaled": "-^"}
_SHOWN = ("kurtosis", "negentropy", "wasserstein", "gini")
_SPREAD = 0.06
"""Offset between the kinds of a level, in levels."""


def plot_bands(rows: Sequence[LevelMeasures], figure: "Figure", title: str) -> None:
    """Sample whiteness of LL, Gaussianity and sparsity of the details against the level, and their histograms.

    Args:
        rows: Rows of :func:`wavelight.evaluation.bands.analyze_pyramid`, for level 0 and at least one more.
        figure: An empty one.
        title: Says which images they are.
    """
    top, bottom = figure.subplots(2, 4)
    _plot_condition(top[0], rows)
    _plot_kl(top[1], rows)
    for axes, name in zip([*top[2:], *bottom[:2]], _SHOWN, strict=True):
        _plot_measure(axes, rows[1:], name)
    _plot_histogram(bottom[2], rows[1])
    _plot_histogram(bottom[3], rows[-1])
    figure.suptitle(title)


def _plot_condition(axes: "Axes", rows: Sequence[LevelMeasures]) -> None:
    levels = [row.level for row in rows]
    axes.plot(levels, [row.spectrum.log10_condition for row in rows], "-o", label="spectrum")
    axes.plot(levels, [row.grey.log10_condition for row in rows], "-^", label="spectrum, grey")
    whole = [nan if row.covariance is None else row.covariance.log10_condition for row in rows]
    axes.plot(levels, whole, "--s", label="whole covariance")
    axes.set_ylim(0, 1.3 * axes.get_ylim()[1])  # room for the legend
    axes.set_ylabel("log10 condition number of LL")
    _finish(axes, rows)


def _plot_kl(axes: "Axes", rows: Sequence[LevelMeasures]) -> None:
    levels = [row.level for row in rows]
    axes.plot(levels, [row.spectrum.kl for row in rows], "-o", label="as it is")
    axes.plot(levels, [row.spectrum.kl_unit for row in rows], "-^", label="unit variance")
    axes.plot(levels, [row.grey.kl_unit for row in rows], "-v", label="unit variance, grey")
    whole = [nan if row.covariance is None else row.covariance.kl_unit for row in rows]
    axes.plot(levels, whole, "--s", label="unit variance, whole covariance")
    axes.set_yscale("log")
    bottom, top = axes.get_ylim()
    axes.set_ylim(bottom, top * (top / bottom) ** 0.5)  # room for the legend
    axes.set_ylabel("KL to white of LL, nats per dimension")
    _finish(axes, rows)


def _plot_measure(axes: "Axes", rows: Sequence[LevelMeasures], name: str) -> None:
    for place, kind in enumerate(KINDS):
        intervals = [row.details[kind][name] for row in rows]
        axes.errorbar(
            [row.level + _SPREAD * (place - 1) for row in rows],
            [each.value for each in intervals],
            [
                [each.value - each.low for each in intervals],
                [each.high - each.value for each in intervals],
            ],
            fmt=_STYLES[kind],
            capsize=3,
            label=_LABELS[kind],
        )
    axes.axhline(MEASURES[name].gaussian, color="gray", linestyle=":", label="Gaussian")
    if name == "kurtosis":
        # Which a few images can raise tenfold.
        axes.set_yscale("symlog", linthresh=1)
    axes.set_ylabel(f"{MEASURES[name].title} of details")
    _finish(axes, rows)


def _plot_histogram(axes: "Axes", row: LevelMeasures) -> None:
    width = 2 * HISTOGRAM_RANGE / HISTOGRAM_BINS
    middles = [(place + 0.5) * width - HISTOGRAM_RANGE for place in range(HISTOGRAM_BINS)]
    for kind in KINDS:
        density = [each or nan for each in row.densities[kind]]
        axes.plot(middles, density, label=_LABELS[kind], linewidth=1.2)
    gaussian = [exp(-(each**2) / 2) / sqrt(2 * pi) for each in middles]
    axes.plot(middles, gaussian, ":", color="gray", label="Gaussian")
    axes.set_yscale("log")
    axes.set_ylim(1e-6, 5)
    axes.set_xlabel(f"details of level {row.level}, standard deviations")
    axes.set_ylabel("density")
    axes.legend(fontsize="small")
    axes.grid(alpha=0.3)


def _finish(axes: "Axes", rows: Sequence[LevelMeasures]) -> None:
    axes.set_xticks([row.level for row in rows])
    axes.set_xlabel("level")
    axes.legend(fontsize="small")
    axes.grid(alpha=0.3)
