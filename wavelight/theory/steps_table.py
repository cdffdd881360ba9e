"""The steps that SGM and WSGM need against the size of the field."""

from collections.abc import Iterator, Sequence
from math import isnan, nan
from typing import TYPE_CHECKING, NamedTuple

from wavelight.theory.steps import System, factors_of, steps_needed

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class StepsRow(NamedTuple):
    """Steps that the two systems need at one size, for one spectrum."""

    eta: float
    size: int
    field: float
    """The condition number of the covariance that SGM samples."""

    details: float
    """The worst condition number of WSGM's details, conditioned on LL; nan without levels."""

    coarsest: float
    """The condition number of WSGM's coarsest LL."""

    steps: dict[System, int]

    @property
    def cells(self) -> dict[str, str]:
        """What a table shows, by column."""
        sgm, wsgm = self.steps[System.SGM], self.steps[System.WSGM]
        return {
            "eta": f"{self.eta:g}",
            "image size": str(self.size),
            "condition number, SGM": _three_digits(self.field),
            "WSGM details": _three_digits(self.details),
            "WSGM coarsest": _three_digits(self.coarsest),
            "steps, SGM": str(sgm),
            "WSGM": str(wsgm),
            "SGM / WSGM": f"{sgm / wsgm:.2f}",
        }


def _three_digits(number: float) -> str:
    if isnan(number):
        return "-"
    return f"{number:.0f}" if number >= 1000 else f"{number:.3g}"


def steps_table(
    sizes: Sequence[int],
    etas: Sequence[float],
    kl_per_dim: float,
    wavelet: str,
    xi: float | None = None,
) -> Iterator[StepsRow]:
    """Yield the rows of the table, size by size for each spectrum.

    Raises:
        ValueError: If a value makes no sense.
    """
    for eta in etas:
        for size in sizes:
            (field,) = factors_of(System.SGM, size, eta, xi=xi)
            coarsest, *details = factors_of(System.WSGM, size, eta, wavelet, xi=xi)
            yield StepsRow(
                eta,
                size,
                field=field.condition_number,
                details=max((each.condition_number for each in details), default=nan),
                coarsest=coarsest.condition_number,
                steps={
                    system: steps_needed(system, size, eta, kl_per_dim, wavelet, xi=xi)
                    for system in System
                },
            )


def plot_steps(rows: Sequence[StepsRow], figure: "Figure", kl_per_dim: float, wavelet: str) -> None:
    """Sample the steps of both systems against the image size, a pair of curves for each spectrum.

    Args:
        rows: Rows of :func:`table`.
        figure: An empty one.
        kl_per_dim: The accuracy they belong to.
        wavelet: WSGM's.
    """
    axes = figure.subplots()
    for color, eta in enumerate(dict.fromkeys(row.eta for row in rows)):
        curve = [row for row in rows if row.eta == eta]
        for system, style in ((System.SGM, "--o"), (System.WSGM, "-s")):
            axes.plot(
                [row.size for row in curve],
                [row.steps[system] for row in curve],
                style,
                color=f"C{color}",
                label=f"{system.name}, eta = {eta:g}",
            )
    sizes = sorted({row.size for row in rows})
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("image size, pixels")
    axes.set_ylabel(f"steps for KL/d <= {kl_per_dim:g}")
    axes.set_title(f"Exact score, uniform steps, {wavelet}")
    axes.legend()
    axes.grid(alpha=0.3)
