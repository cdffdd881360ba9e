"""The speed of networks and training beside what the machine can do."""

import copy
from collections.abc import Callable, Iterator
from statistics import median
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from wavelight.checkpoints.loading import system_from_config
from wavelight.checkpoints.published import experiment_config
from wavelight.evaluation.published_iteration import PublishedIteration, can_stand_in
from wavelight.evaluation.timing import Precision
from wavelight.evaluation.training_speed import (
    compile_for_training,
    training_gflop,
    training_in_turns,
)
from wavelight.networks.compiled import Compiled
from wavelight.support.stopwatch import seconds_of
from wavelight.support.tables import markdown_table
from wavelight.systems import ImageGenerator

RATE_SHAPE = (16, 128, 16, 16)


RATE_GFLOP = 2 * 16 * 16**2 * 128**2 * 9 / 1e9
"""The convolution that sets the limit: 3x3, from 128 to 128 channels."""


SAMPLED_IMAGES = 4


SAMPLED_GFLOP = {
    "cifar10": 13.3,
    "stl10": 54.5,
    "celeba256": 226,
    "church": 226,
    "cifar10_ddgan": 53.9,
    "celeba256_ddgan": 564,
    "church_ddgan": 564,
}
"""Convolutions of the published generators for four images; saving some counts as speed."""


TRAINED_IMAGES = {"cifar10": 16, "celeba256": 4}
"""The batches of the experiments whose training is measured on a CPU."""


DEFAULT_EXPERIMENTS = ["cifar10", "stl10", "celeba256", "celeba256_ddgan"]


DEFAULT_EXPERIMENTS_ON_GPU = ["cifar10", "celeba256", "celeba1024"]


_FEW_TURNS = 10


_TRAINING_TURNS = 5


_GFLOP_OF_ALL_TURNS = 60


_LATENT = 100


_PUBLISHED = "published iteration's arithmetic, float32, eager"


_CPU = torch.device("cpu")


class BenchmarkRow(NamedTuple):
    """A line of the table."""

    name: str
    gflop: float | None
    rate: str | None
    """The row whose rate is this one's limit."""


class MeasuredRun(NamedTuple):
    """A line of the table, and what is called to measure it."""

    row: BenchmarkRow
    run: Callable[[], object]


def benchmark_experiment(experiment: str, turns: int, compiled: bool) -> Iterator[str]:
    """Measure an experiment on the CPU, and yield its tables.

    Args:
        experiment: One of :data:`SAMPLED_GFLOP`.
        turns: How often each thing is measured, at most.
        compiled: Whether to measure the compiled networks too.
    """
    torch.manual_seed(0)
    title = f"{experiment}, {torch.get_num_threads()} threads"
    yield from _sampling_tables(experiment, title, turns, compiled)
    if compiled:
        # It holds what it has compiled, with its weights.
        torch.compiler.reset()
    if experiment in TRAINED_IMAGES:
        yield from _training_tables(experiment, title, min(turns, _TRAINING_TURNS), compiled)


def _sampling_tables(experiment: str, title: str, turns: int, compiled: bool) -> Iterator[str]:
    gflop = SAMPLED_GFLOP[experiment]
    system = _build(experiment)
    runs = [
        _product(),
        *_generators(system, gflop, torch.float32, "float32", compiled),
        *_generators(system, gflop, torch.bfloat16, "bfloat16", compiled),
    ]
    taken = turns_of(gflop, turns)
    times = seconds_in_turns(_by_name(runs), taken)
    rows = [each.row for each in runs]
    for call, which in enumerate(("first call", "second call, in cache")):
        least = {name: min(each[call]) for name, each in times.items()}
        yield f"{title}, least of {taken}, {which}\n\n{benchmark_table(rows, least)}\n"


def _training_tables(experiment: str, title: str, turns: int, compiled: bool) -> Iterator[str]:
    gflop = training_gflop(_build(experiment), TRAINED_IMAGES[experiment])
    for way in ("eager", "compiled") if compiled else ("eager",):
        for precision in (Precision.float32, Precision.bfloat16):
            system = _build(experiment)
            if way == "compiled":
                compile_for_training(system)
            rows, medians = _training_medians(
                system, TRAINED_IMAGES[experiment], precision, way, turns, gflop
            )
            ratio = _ratio(rows, medians)
            yield f"{title}, median of {turns}\n\n{benchmark_table(rows, medians)}\n{ratio}"


def _training_medians(
    system: ImageGenerator, images: int, precision: Precision, way: str, turns: int, gflop: float
) -> tuple[list[BenchmarkRow], dict[str, float]]:
    """Measure training beside a product, a convolution and the published iteration, in the same turns."""
    dtype = torch.bfloat16 if precision is Precision.bfloat16 else torch.float32
    limit = _convolution(dtype, precision.value)
    others = [_product(), limit, *_published(system, images)]
    batches, times = training_in_turns(system, images, precision, turns, _by_name(others))
    name = f"training iteration of {images}, {precision.value}, {way}"
    rows = [*(each.row for each in others), BenchmarkRow(name, gflop, limit.row.name)]
    return rows, {each: median(seconds) for each, seconds in (times | {name: batches}).items()}


def _published(system: ImageGenerator, images: int) -> list[MeasuredRun]:
    """Return the stand-in of the published iteration, where it is known for the system."""
    if not can_stand_in(system):
        return []
    side = system.image_size
    image = torch.rand(images, system.channels, side, side) * 2 - 1
    row = BenchmarkRow(_PUBLISHED, None, None)
    return [MeasuredRun(row, PublishedIteration(system, image))]


def _ratio(rows: list[BenchmarkRow], seconds: dict[str, float]) -> str:
    """Say how many times as fast as the published iteration the last row is, where both were measured."""
    if _PUBLISHED not in seconds:
        return ""
    times = seconds[_PUBLISHED] / seconds[rows[-1].name]
    return f"\n{times:.2f} times as fast as the published iteration's arithmetic.\n"


def _by_name(runs: list[MeasuredRun]) -> dict[str, Callable[[], object]]:
    return {each.row.name: each.run for each in runs}


def turns_of(gflop: float, turns: int) -> int:
    """Return how often a network of this cost is measured, so that large ones take little longer than small ones."""
    return min(turns, max(_FEW_TURNS, round(turns * _GFLOP_OF_ALL_TURNS / gflop)))


def seconds_in_turns(
    runs: dict[str, Callable[[], object]], turns: int
) -> dict[str, tuple[list[float], list[float]]]:
    """Return the seconds of each run's first call in each turn, and of its second."""
    for run in runs.values():
        run()
    seconds: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in runs}
    for _ in range(turns):
        for name, run in runs.items():
            for times in seconds[name]:
                times.append(seconds_of(_CPU, run))
    return seconds


def benchmark_table(rows: list[BenchmarkRow], seconds: dict[str, float]) -> str:
    """Return milliseconds, matrix products (mm), GFLOP/s and fractions of the limit as Markdown."""
    speed = {row.name: row.gflop / seconds[row.name] for row in rows if row.gflop}
    product = seconds[rows[0].name]
    cells = [
        {
            "": row.name,
            "ms": f"{1e3 * seconds[row.name]:.2f}",
            "mm": f"{seconds[row.name] / product:.3f}",
            "GFLOP/s": f"{speed[row.name]:.0f}" if row.name in speed else "",
            "of limit": f"{speed[row.name] / speed[row.rate]:.0%}" if row.rate else "",
        }
        for row in rows
    ]
    return "\n".join(markdown_table(cells, left=[""]))


def _build(experiment: str) -> ImageGenerator:
    return system_from_config(experiment_config(experiment))


def _product() -> MeasuredRun:
    a, b = torch.randn(2, 2048, 2048)
    row = BenchmarkRow("matrix product 2048^3, float32", 2 * 2048**3 / 1e9, None)
    return MeasuredRun(row, lambda: a @ b)


def _convolution(dtype: torch.dtype, name: str) -> MeasuredRun:
    image = torch.randn(RATE_SHAPE, dtype=dtype).to(memory_format=torch.channels_last)
    weight = torch.randn(128, 128, 3, 3, dtype=dtype).to(memory_format=torch.channels_last)
    row = BenchmarkRow(f"convolution, {name}", RATE_GFLOP, None)
    return MeasuredRun(row, lambda: functional.conv2d(image, weight, padding=1))


def _generators(
    system: ImageGenerator, gflop: float, dtype: torch.dtype, name: str, compiled: bool
) -> list[MeasuredRun]:
    """Return what is measured in one precision: the rate of convolutions, the generator."""
    (network,) = system.sampling_networks().values()
    generator = copy.deepcopy(network).to(dtype).requires_grad_(False).eval()
    inputs = (
        torch.randn(SAMPLED_IMAGES, *system.target_shapes[0], dtype=dtype),
        torch.arange(SAMPLED_IMAGES),
        torch.randn(SAMPLED_IMAGES, _LATENT, dtype=dtype),
    )
    limit = _convolution(dtype, name)
    ways: dict[str, nn.Module] = {"eager": generator}
    if compiled:
        ways["compiled"] = Compiled(generator)
    generators = [
        MeasuredRun(
            BenchmarkRow(f"generator, {name}, {way}", gflop, limit.row.name), _call(each, inputs)
        )
        for way, each in ways.items()
    ]
    return [limit, *generators]


def _call(network: nn.Module, inputs: tuple[Tensor, ...]) -> Callable[[], Tensor]:
    @torch.no_grad()
    def run() -> Tensor:
        return network(*inputs)

    return run
