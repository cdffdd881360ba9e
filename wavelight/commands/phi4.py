"""``wavelight phi4``: how close SGM and WSGM come to the phi^4 field."""

from pathlib import Path

from wavelight.support.figures import empty_figure, save_figure
from wavelight.support.tables import markdown_table
from wavelight.theory.energy_table import energy_table, plot_energies


def phi4(
    path: Path,
    sizes: list[int] | None = None,
    steps: list[int] | None = None,
    images: int = 1000,
    seed: int = 0,
    plot: Path | None = None,
) -> str:
    """Print how close SGM and WSGM come to the critical phi^4 field, against their steps, without training.

    Their scores are those of energies, with interactions of pairs and potentials of sites and of the
    field's mean, fitted to simulated fields by score matching in closed form at 33 times up to 5;
    WSGM's pyramid is of the wavelet db4 and ends at 4x4. Both sample by Euler-Maruyama in uniform
    steps of time, WSGM with the steps shown at every scale. D1 is the squared distance of the power
    spectra from that of held-out fields, as a share of its square; D2 is the total variation of the
    histograms of values. The floor is what the fields have that were fitted. It takes minutes on one
    core.

    Args:
        path: The folder of simulated fields, such as data/phi4, with a folder for each size; missing ones
            are simulated into it.
        sizes: Sides of the lattices, like [8,16]; by default 8, 16 and 32.
        steps: Numbers of steps, like [16,64]; by default 4, 8, ... 256.
        images: How many fields are fitted; as many are held out, and as many are generated each time.
        seed: The seed of the simulation, of the noise in the fit, and of the samples.
        plot: A PNG, PDF or SVG for a figure of the distances against steps; it needs matplotlib.

    Returns:
        A Markdown table.

    Raises:
        ValueError: If a value makes no sense, or there is no matplotlib to draw with.
    """
    steps = steps or [4, 8, 16, 32, 64, 128, 256]
    if images < 1 or min(steps) < 1:
        raise ValueError(f"images and steps must be at least 1, got {images} and {steps}")
    figure = None if plot is None else empty_figure(plot, 10, 4.5)
    rows = list(energy_table(Path(path), sizes or [8, 16, 32], steps, images, seed))
    if figure is not None and plot is not None:
        plot_energies(rows, figure)
        save_figure(figure, plot)
    return "\n".join(
        [
            f"{images} fields each, fitted energies, uniform steps of Euler-Maruyama, seed {seed}.\n",
            *markdown_table([row.cells for row in rows], left=["system"]),
        ]
    )
