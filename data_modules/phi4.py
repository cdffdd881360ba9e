"""The phi^4 lattice field at its critical point: configurations that are simulated once and then read."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from typing_extensions import override

from data_modules.errors import DataError
from data_modules.plain_files import check_plain
from data_modules.source import Sample, Source
from wavelight.support.files import draft_of, write_json

Fields = NDArray[np.float32]
"""Configurations of several chains, ``(chains, L, L)``."""

CRITICAL_BETA = 0.6806

RECORD = "phi4.json"
_FORMAT = 1
# Sites are numbered, and their bonds counted, by 32 bits.
_MOST_SITES = 2**30
_ENERGY = "-beta sum_<ij> x_i x_j + sum (x^4 - x^2)"
# Updates before anything is kept; the width of proposals is tuned in the first half of them.
_WARM_UP = 100
# Below this, magnitudes of sites and not signs of clusters are what changes slowest; a sweep of moves
# costs a fifth of an update of clusters.
_SWEEPS = 3
_FIRST_WIDTH = 1.5
_TARGET_ACCEPTANCE = 0.5


@dataclass(frozen=True)
class Simulation:
    """All that the configurations of a folder depend on.

    Attributes:
        size: Height and width L of the lattice, even.
        chains: How many Markov chains run at once.
        seed: Another seed gives other configurations.
        beta: The coupling.
        interval: Updates of a chain from one configuration that is kept to the next.
    """

    size: int
    chains: int
    seed: int
    beta: float
    interval: int

    def __post_init__(self) -> None:
        if self.size < 2 or self.size % 2:
            raise DataError(
                "size must be even and at least 2 (the lattice has two sublattices), got "
                f"{self.size}"
            )
        if self.chains < 1 or self.interval < 1:
            raise DataError(
                f"chains and interval must be at least 1, got {self.chains} and {self.interval}"
            )
        if self.seed < 0 or self.beta < 0:
            raise DataError(f"seed and beta must not be negative, got {self.seed} and {self.beta}")
        if self.chains * self.size**2 >= _MOST_SITES:
            raise DataError(
                f"chains x size x size must be below {_MOST_SITES} sites, got {self.chains} x "
                f"{self.size} x {self.size}: run fewer chains"
            )

    @property
    def settings(self) -> dict[str, Any]:
        """Description of the simulation in the record of a folder."""
        return {
            "format": _FORMAT,
            "energy": _ENERGY,
            "warm_up": _WARM_UP,
            "sweeps": _SWEEPS,
            **asdict(self),
        }


@dataclass(frozen=True)
class SimulationSummary:
    """Result of ``simulate``."""

    folder: Path
    images: int
    size: int
    acceptance: float
    """The share of Metropolis proposals that were accepted after the width was tuned."""

    def __str__(self) -> str:
        return (
            f"{self.images:,} configurations of {self.size}x{self.size} sites are in {self.folder}; "
            f"{100 * self.acceptance:.0f} % of proposals were accepted"
        )


def simulate(
    out: Path,
    size: int = 32,
    images: int = 10_000,
    chains: int = 500,
    seed: int = 0,
    beta: float = CRITICAL_BETA,
    interval: int = 30,
) -> SimulationSummary:
    """Simulate configurations of the phi^4 field at its critical point, which ``data_modules.Phi4`` reads.

    The density is exp(-E), with E = -beta sum_<ij> x_i x_j + sum (x^4 - x^2) over a periodic square
    lattice. (The energy as WSGM's text prints it is another one, and not critical at this beta.)

    An interrupted call that is given again goes on, and a call for more images adds to those there
    are: the files are the same as without the interruption, byte for byte.

    Args:
        out: The folder to write into: a .npy file for each time that all chains are kept, and a
            record of the parameters.
        size: Height and width of the lattice in sites, even.
        images: How many configurations to have; rounded up to a multiple of ``chains``.
        chains: How many independent Markov chains run at once. Each goes through a warm-up.
        seed: The seed of the configurations, at least 0.
        beta: The coupling; 0.6806 is critical.
        interval: Updates of a chain from one configuration that is kept to the next; 30 leave a
            correlation of about 0.01 at 32 sites.

    Returns:
        The contents of the folder.

    Raises:
        DataError: If a number is out of range, or the folder holds what was simulated otherwise, or
            other files.
    """
    _check_images(images)
    simulation = Simulation(size, chains, seed, beta, interval)
    out = Path(out)
    record = _record_of(out, simulation)
    if record is None or not _shard(out, 0).exists():
        record = _begin(out, simulation)
    shards = -(-images // chains)
    fields: Fields | None = None
    for number in _with_progress(range(1, shards)):
        if _shard(out, number).exists():
            fields = None
            continue
        # The kept fields are all there is to resume from: each part has random numbers of its own.
        if fields is None:
            fields = _fields_in(_shard(out, number - 1), simulation)
        random = np.random.default_rng((seed, number))
        for _ in range(interval):
            update(fields, beta, record["width"], random)
        _save(_shard(out, number), fields)
    return SimulationSummary(out, shards * chains, size, record["acceptance"])


class Phi4(Source):
    """Configurations of the phi^4 lattice field at its critical point: one channel, no bounds.

    They are read from a folder, into which they are simulated first where any are missing, as
    ``python -m wavelight simulate`` does. At size 32 and the other defaults that takes about a
    minute.

    Args:
        path: The folder.
        size: Height and width of the lattice, even; there is no other image size.
        images: How many configurations to use; the folder may hold more.
        chains: How many independent Markov chains they come from.
        seed: Another seed gives other configurations. At least 0.
        beta: The coupling; 0.6806 is critical.
        interval: Updates of a chain from one configuration that is kept to the next; 30 leave a
            correlation of about 0.01 at 32 sites.

    Raises:
        DataError: If a number is out of range.
    """

    channels = 1
    value_range = None

    def __init__(
        self,
        path: Path,
        size: int = 32,
        images: int = 10_000,
        chains: int = 500,
        seed: int = 0,
        beta: float = CRITICAL_BETA,
        interval: int = 30,
    ) -> None:
        _check_images(images)
        self.path = Path(path)
        self.images = images
        self.simulation = Simulation(size, chains, seed, beta, interval)

    @property
    @override
    def description(self) -> str:
        return f"phi^4: {self.images} images of {self.simulation.settings}"

    @property
    @override
    def folder(self) -> Path:
        return self.path

    @override
    def __len__(self) -> int:
        return self.images

    @override
    def fetch(self) -> None:
        simulate(self.path, images=self.images, **asdict(self.simulation))

    @override
    def check(self, size: int) -> None:
        if size != self.simulation.size:
            raise DataError(
                f"image_size must be the size of the lattice, {self.simulation.size}, got {size}"
            )

    @override
    def read(self, index: int, size: int) -> Sample:
        """Read one configuration, ``(1, size, size)`` float32.

        Raises:
            IndexError: If there is no configuration of this number.
            DataError: If the lattice has another size, or the configuration is not in the folder.
        """
        self.check(size)
        if not 0 <= index < self.images:
            raise IndexError(
                f"configuration {index} is out of range: configurations are numbered 0 to "
                f"{self.images - 1}"
            )
        number, chain = divmod(index, self.simulation.chains)
        if number not in self._opened_shards:
            self._opened_shards[number] = self._open(_shard(self.path, number))
        return Sample(torch.from_numpy(self._opened_shards[number][chain].copy())[None])

    @cached_property
    def _opened_shards(self) -> dict[int, Fields]:
        # Where others' configurations lie, none may be read.
        _record_of(self.path, self.simulation)
        return {}

    def _open(self, path: Path) -> Fields:
        if not path.exists():
            raise DataError(
                f"there is no {path}: make it with `python -m wavelight simulate --out {path.parent}`"
            )
        return _fields_in(path, self.simulation, "r")


def update(fields: Fields, beta: float, width: float, random: Generator) -> float:
    """Update configurations in place: the signs of clusters, then each site a few times.

    Args:
        fields: ``(chains, L, L)``.
        beta: The coupling.
        width: How far a site may be moved at most.
        random: The source of chance.

    Returns:
        The share of moves of single sites that were accepted.
    """
    flip_clusters(fields, beta, random)
    shares = [move_sites(fields, beta, width, random) for _ in range(_SWEEPS)]
    return sum(shares) / _SWEEPS


def move_sites(fields: Fields, beta: float, width: float, random: Generator) -> float:
    """Offer each site a move (Metropolis et al. 1953), in place, a sublattice without neighbours at a time.

    Args:
        fields: ``(chains, L, L)``, even L.
        beta: The coupling.
        width: Moves are uniform in [-width, width].
        random: The source of chance.

    Returns:
        The share that was accepted.
    """
    # With chains last, the sites of a sublattice lie side by side in memory.
    lattice = np.ascontiguousarray(np.moveaxis(fields, 0, -1))
    accepted = 0
    for row, column in ((0, 0), (1, 1), (0, 1), (1, 0)):
        sites = lattice[row::2, column::2]
        above, beside = lattice[1 - row :: 2, column::2], lattice[row::2, 1 - column :: 2]
        pull = above + np.roll(above, 1 - 2 * row, 0) + beside + np.roll(beside, 1 - 2 * column, 1)
        step = random.random(sites.shape, np.float32)
        step = np.float32(2 * width) * step - np.float32(width)
        moved = sites + step
        change = _potential(moved) - _potential(sites) - np.float32(beta) * pull * step
        # An exponential number exceeds the change in energy with probability exp(-change).
        accept = change < random.standard_exponential(sites.shape, np.float32)
        np.copyto(sites, moved, where=accept)
        accepted += int(np.count_nonzero(accept))
    fields[...] = np.moveaxis(lattice, -1, 0)
    return accepted / fields.size


def flip_clusters(fields: Fields, beta: float, random: Generator) -> None:
    """Change the signs of clusters of sites, in place: what single sites take ~L^2 sweeps for.

    At given magnitudes the signs are an Ising model of couplings beta |x_i x_j| (Brower and Tamayo
    1989), which is updated as Swendsen and Wang 1987 do: neighbours of equal sign are bound with
    probability 1 - exp(-2 beta |x_i x_j|), and each cluster of bound sites gets a sign by chance.

    Args:
        fields: ``(chains, L, L)``.
        beta: The coupling.
        random: The source of chance.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    bound = np.empty((*fields.shape, 2), dtype=bool)
    for axis in (0, 1):
        coupling = np.float32(2 * beta) * fields * np.roll(fields, -1, axis + 1)
        bound[..., axis] = random.standard_exponential(fields.shape, np.float32) < coupling
    bound = bound.reshape(-1, 2)
    neighbours = _next_sites(fields.shape)[bound]
    starts = np.zeros(len(bound) + 1, dtype=np.int32)
    np.cumsum(np.count_nonzero(bound, axis=1), out=starts[1:])
    graph = csr_array((np.ones(len(neighbours)), neighbours, starts), shape=(fields.size,) * 2)
    count, cluster = connected_components(graph, directed=False)
    signs = 1 - 2 * random.integers(0, 2, count, dtype=np.int8)
    fields *= signs[cluster].reshape(fields.shape)


@lru_cache(maxsize=1)
def _next_sites(shape: tuple[int, ...]) -> NDArray[np.int32]:
    """Return each site's neighbours below and to the right, by number, ``(sites, 2)``."""
    sites = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    return np.stack([np.roll(sites, -1, axis).ravel() for axis in (1, 2)], axis=1)


def _potential(sites: Fields) -> Fields:
    squares = sites * sites
    return squares * squares - squares


def _begin(path: Path, simulation: Simulation) -> dict[str, Any]:
    """Bring the chains to equilibrium, and write the record and their first configurations."""
    random = np.random.default_rng((simulation.seed, 0))
    shape = (simulation.chains, simulation.size, simulation.size)
    fields = random.standard_normal(shape, np.float32)
    width, accepted = _FIRST_WIDTH, []
    for step in range(_WARM_UP):
        acceptance = update(fields, simulation.beta, width, random)
        if step < _WARM_UP // 2:
            width *= float(np.exp(acceptance - _TARGET_ACCEPTANCE))
        else:
            accepted.append(acceptance)
    record = {**simulation.settings, "width": width, "acceptance": float(np.mean(accepted))}
    write_json(path / RECORD, record)
    _save(_shard(path, 0), fields)
    return record


def _record_of(path: Path, simulation: Simulation) -> dict[str, Any] | None:
    """Return the record of a folder, or None where nothing was simulated.

    Raises:
        DataError: If the folder holds what was simulated otherwise, or other files.
    """
    if not (path / RECORD).exists():
        if path.exists() and any(not _passing(file.name) for file in path.iterdir()):
            raise DataError(f"{path} holds other files: choose a new or an empty folder")
        return None
    try:
        record = json.loads((path / RECORD).read_text())
    except ValueError as error:
        raise DataError(
            f"{path / RECORD} is damaged ({error}): simulate into a new folder"
        ) from error
    changed = [name for name, value in simulation.settings.items() if record.get(name) != value]
    if changed:
        raise DataError(
            f"{path} was simulated with other values of {' and '.join(changed)}: choose a new "
            "folder"
        )
    return record


def _passing(name: str) -> bool:
    # Caches of statistics, and the drafts of a killed process.
    return name.startswith(".")


def _shard(path: Path, number: int) -> Path:
    return path / f"{number:06d}.npy"


def _fields_in(path: Path, simulation: Simulation, mode: Literal["r"] | None = None) -> Fields:
    """Return the configurations in a file, mapped into memory if the mode is to read."""
    shape = (simulation.chains, simulation.size, simulation.size)
    check_plain(path)
    try:
        fields: Fields = np.load(path, mmap_mode=mode)
    # EOFError, ValueError, or what the parser of its header raises.
    except Exception as error:
        raise _damaged(path, str(error)) from error
    if fields.shape != shape or fields.dtype != np.float32:
        raise _damaged(path, f"it must hold float32 {shape}, got {fields.dtype} {fields.shape}")
    return fields


def _damaged(path: Path, reason: str) -> DataError:
    return DataError(
        f"{path} is damaged ({reason}): remove it and those behind it, and simulate again"
    )


def _save(path: Path, fields: Fields) -> None:
    # Two processes that write the same file write the same bytes, so neither can spoil it.
    with draft_of(path) as draft, draft.open("wb") as file:
        np.save(file, fields)


def _check_images(images: int) -> None:
    if images < 1:
        raise DataError(f"images must be at least 1, got {images}")


def _with_progress(shards: range) -> Iterable[int]:
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    # In a file it would leave empty lines.
    hidden = not console.is_terminal
    return track(shards, "Simulating phi^4", console=console, transient=True, disable=hidden)
