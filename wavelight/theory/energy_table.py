"""The distance of SGM and WSGM to the phi^4 field against their steps."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from data_modules.phi4 import Phi4
from wavelight.metrics import FieldDistance
from wavelight.systems import SGM, WSGM
from wavelight.theory.energy_systems import energy_sgm, energy_wsgm

if TYPE_CHECKING:
    from matplotlib.figure import Figure
from wavelight.support.progress import tell

_SYSTEMS: dict[str, Callable[[Tensor, int, int], SGM | WSGM]] = {
    "SGM": lambda fields, steps, seed: energy_sgm(fields, steps, seed=seed),
    "WSGM": lambda fields, steps, seed: energy_wsgm(fields, steps, seed=seed),
}


_FLOOR = "floor"


# About as many sites at once for every size.
_SITES_AT_ONCE = 2**18


class EnergyRow(NamedTuple):
    """Distances of fields that one system sampled in some steps, or of simulated ones."""

    size: int
    system: str
    steps: int | None
    """None for simulated fields."""
    spectrum: float
    marginal: float

    @property
    def cells(self) -> dict[str, str]:
        """What a table shows, by column."""
        return {
            "size": str(self.size),
            "system": self.system,
            "steps": "-" if self.steps is None else str(self.steps),
            "spectrum, D1": f"{self.spectrum:.1e}",
            "marginal, D2": f"{self.marginal:.3f}",
        }


def energy_table(
    path: Path, sizes: Sequence[int], steps: Sequence[int], fields: int, seed: int
) -> Iterator[EnergyRow]:
    """Yield the rows of the table: for each size the floor, then the systems.

    Raises:
        ValueError: If a value makes no sense.
    """
    for size in sizes:
        fitted, held_out = _configurations(path / f"{size}", size, fields, seed)
        yield _row(size, _FLOOR, None, fitted, held_out)
        for name, fit in _SYSTEMS.items():
            tell(f"{size}x{size}: fitting {name}")
            system = fit(fitted, steps[0], seed)
            for number in steps:
                for model in system.factor_models():
                    model.take_steps(number)
                batch = max(1, _SITES_AT_ONCE // size**2)
                generated = system.sample(fields, seed, batch_size=batch)
                row = _row(size, name, number, generated, held_out)
                tell("  ".join(row.cells.values()))
                yield row


def plot_energies(rows: Sequence[EnergyRow], figure: "Figure") -> None:
    """Sample both distances against the steps, with a curve for each size and system and lines for the floors.

    Args:
        rows: Rows of :func:`table`.
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


def _row(size: int, system: str, steps: int | None, generated: Tensor, real: Tensor) -> EnergyRow:
    distance = FieldDistance()
    distance.update(generated, real=False)
    distance.update(real, real=True)
    found = distance.compute()
    return EnergyRow(size, system, steps, found["spectrum"].item(), found["marginal"].item())
