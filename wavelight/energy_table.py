"""How close SGM and WSGM come to the phi^4 field, against their steps: ``python -m wavelight phi4 FOLDER``."""

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from data_modules.phi4 import Phi4
from wavelight.energy_systems import energy_sgm, energy_wsgm
from wavelight.figures import empty_figure, save_figure
from wavelight.metrics import FieldDistance
from wavelight.models import ScoreModel
from wavelight.systems import SGM, WSGM

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_HEADING = (
    "| size | system | steps | spectrum, D1 | marginal, D2 |",
    "|--:|:--|--:|--:|--:|",
)
_SYSTEMS: dict[str, Callable[[Tensor, int, int], SGM | WSGM]] = {
    "SGM": lambda fields, steps, seed: energy_sgm(fields, steps, seed=seed),
    "WSGM": lambda fields, steps, seed: energy_wsgm(fields, steps, seed=seed),
}
_FLOOR = "floor"
# About as many sites at once for every size.
_SITES_AT_ONCE = 2**18


class Row(NamedTuple):
    """The distances of fields that one system drew in some steps, or of simulated ones."""

    size: int
    system: str
    steps: int | None
    """None for what is simulated."""
    spectrum: float
    marginal: float

    def __str__(self) -> str:
        steps = "-" if self.steps is None else str(self.steps)
        return (
            f"| {self.size} | {self.system} | {steps} | {self.spectrum:.1e} | {self.marginal:.3f} |"
        )


def phi4(
    path: Path,
    sizes: list[int] | None = None,
    steps: list[int] | None = None,
    fields: int = 1000,
    seed: int = 0,
    plot: Path | None = None,
) -> str:
    """Print how close SGM and WSGM come to the critical phi^4 field, against their steps, without training.

    Their scores are those of energies, with interactions of pairs and potentials of sites and of the
    field's mean, fitted to simulated fields by score matching in closed form at 33 times up to 5;
    WSGM's pyramid is of the wavelet db4 and ends at 4x4. Both draw by Euler-Maruyama in uniform
    steps of time, WSGM with the steps shown at every scale. D1 is the squared distance of the power
    spectra from that of held-out fields, as a share of its square; D2 is the total variation of the
    histograms of values. The floor is what the fields have that were fitted. It takes minutes on one
    core.

    Args:
        path: The folder in which the configurations of each size lie, or into which they are
            simulated.
        sizes: Sides of the lattices, like [8,16]; none takes 8, 16 and 32.
        steps: Numbers of steps, like [16,64]; none takes 4, 8, ... 256.
        fields: How many are fitted, as many are held out, and as many are drawn each time.
        seed: Of the simulation, of the noise in the fit, and of what is drawn.
        plot: A PNG to draw the curves into; drawing needs matplotlib.

    Returns:
        A Markdown table.

    Raises:
        ValueError: If a value makes no sense, or there is no matplotlib to draw with.
    """
    steps = steps or [4, 8, 16, 32, 64, 128, 256]
    if fields < 1 or min(steps) < 1:
        raise ValueError(f"fields = {fields} and steps = {steps} must be at least 1")
    figure = None if plot is None else empty_figure(10, 4.5)
    rows = list(table(Path(path), sizes or [8, 16, 32], steps, fields, seed))
    if figure is not None and plot is not None:
        draw(rows, figure)
        save_figure(figure, plot)
    return "\n".join(
        [
            f"{fields} fields each, fitted energies, uniform steps of Euler-Maruyama, seed {seed}.\n",
            *_HEADING,
            *map(str, rows),
        ]
    )


def table(
    path: Path, sizes: Sequence[int], steps: Sequence[int], fields: int, seed: int
) -> Iterator[Row]:
    """Yield the rows of the table: for each size the floor, then the systems.

    Raises:
        ValueError: If a value makes no sense.
    """
    for size in sizes:
        fitted, held_out = _configurations(path / f"{size}", size, fields, seed)
        yield _row(size, _FLOOR, None, fitted, held_out)
        for name, fit in _SYSTEMS.items():
            _tell(f"{size}x{size}: fitting {name}")
            system = fit(fitted, steps[0], seed)
            for number in steps:
                for model in system.factor_models():
                    assert isinstance(model, ScoreModel)
                    model.take_steps(number)
                batch = max(1, _SITES_AT_ONCE // size**2)
                drawn = system.sample(fields, seed, batch_size=batch)
                row = _row(size, name, number, drawn, held_out)
                _tell(str(row))
                yield row


def draw(rows: Sequence[Row], figure: "Figure") -> None:
    """Draw both distances against the steps, with a curve for each size and system and lines for the floors.

    Args:
        rows: Of :func:`table`.
        figure: An empty one.
    """
    sizes = list(dict.fromkeys(row.size for row in rows))
    panels = figure.subplots(1, 2)
    for axes, distance in zip(panels, ("spectrum", "marginal"), strict=True):
        for color, size in enumerate(sizes):
            for name, style in (("SGM", "--o"), ("WSGM", "-s")):
                curve = [row for row in rows if (row.size, row.system) == (size, name)]
                axes.plot(
                    [row.steps for row in curve],
                    [getattr(row, distance) for row in curve],
                    style,
                    color=f"C{color}",
                    label=f"{name}, {size}x{size}",
                )
            (floor,) = (row for row in rows if (row.size, row.system) == (size, _FLOOR))
            axes.axhline(getattr(floor, distance), color=f"C{color}", linewidth=0.8, linestyle=":")
        axes.set_xscale("log", base=2)
        taken = sorted({row.steps for row in rows if row.steps is not None})
        axes.set_xticks(taken, [str(number) for number in taken])
        axes.set_yscale("log")
        axes.set_xlabel("steps at every scale")
        axes.grid(alpha=0.3)
    panels[0].set_title("D1, power spectrum")
    panels[1].set_title("D2, histogram of values")
    panels[1].legend()
    figure.suptitle("phi^4 at its critical point; dotted: simulated fields")


def _configurations(path: Path, size: int, fields: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return the fields to fit and those that are held out, ``(fields, 1, size, size)`` each."""
    source = Phi4(path, size, images=2 * fields, seed=seed)
    source.fetch()
    # Neighbouring numbers are of different Markov chains.
    images = torch.stack([source.read(number, size).image for number in range(2 * fields)])
    return images[:fields], images[fields:]


def _row(size: int, system: str, steps: int | None, drawn: Tensor, real: Tensor) -> Row:
    distance = FieldDistance()
    distance.update(drawn, real=False)
    distance.update(real, real=True)
    found = distance.compute()
    return Row(size, system, steps, found["spectrum"].item(), found["marginal"].item())


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
