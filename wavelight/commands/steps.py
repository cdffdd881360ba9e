"""``wavelight steps``: the steps that SGM and WSGM need on Gaussian fields, exactly."""

from pathlib import Path

from wavelight.support.figures import empty_figure, save_figure
from wavelight.support.tables import markdown_table
from wavelight.theory.steps_table import plot_steps, steps_table


def steps(
    sizes: list[int] | None = None,
    etas: list[float] | None = None,
    kl_per_dim: float = 1e-2,
    wavelet: str = "db4",
    xi: float | None = None,
    plot: Path | None = None,
) -> str:
    """Print how many steps SGM and WSGM need to sample Gaussian fields to a given accuracy, exactly.

    The fields have the spectrum 1 / (xi^eta + |w|^eta). Both systems sample them by Euler-Maruyama
    with the exact score, in uniform steps from time 10; WSGM takes the steps shown at every scale
    of a pyramid whose coarsest band is 4x4 for powers of two. Condition numbers are those of the
    covariances that are sampled: of the field, of details given the coarser band at the worst
    scale, of the coarsest band.

    Args:
        sizes: Sides of the fields, in pixels, like [16,32]; by default 8, 16, ... 256.
        etas: Powers of the spectra, like [1,2]; by default 1 (natural images) and 2.
        kl_per_dim: The accuracy: the largest KL(true || sampled) per pixel, in nats.
        wavelet: WSGM's, an orthogonal wavelet of PyWavelets, such as haar, db4 or sym5.
        xi: The frequency below which the spectra are flat; by default 2 pi / size.
        plot: A PNG, PDF or SVG for a figure of the steps against the size; it needs matplotlib.

    Returns:
        A Markdown table.

    Raises:
        ValueError: If a value makes no sense, or there is no matplotlib to draw with.
    """
    figure = None if plot is None else empty_figure(plot, 6, 4)
    rows = list(
        steps_table(sizes or [8, 16, 32, 64, 128, 256], etas or [1, 2], kl_per_dim, wavelet, xi)
    )
    if figure is not None and plot is not None:
        plot_steps(rows, figure, kl_per_dim, wavelet)
        save_figure(figure, plot)
    return "\n".join(
        [
            f"Uniform steps of Euler-Maruyama with the exact score for KL/d <= {kl_per_dim:g}, wavelet {wavelet}.\n",
            *markdown_table([row.cells for row in rows]),
        ]
    )
