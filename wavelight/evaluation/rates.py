"""How many images an experiment trains and samples a second on a device, next to the rate of its matrix products.

The part of ``python -m wavelight benchmark`` that is for GPUs: ``--device cuda``. Everything is
measured at the batch that one device gets in the experiment (training) and at the published batch
(sampling), back to back, without waiting for the device in between, with weights generated at random.
"""

import copy
import sys
from collections.abc import Callable, Iterator
from math import nan
from pathlib import Path
from time import perf_counter

import torch
from torch import Tensor

from wavelight.checkpoints.loading import system_from_config
from wavelight.checkpoints.published import experiment_config
from wavelight.config.bases import chain
from wavelight.config.experiments import shipped_experiment
from wavelight.evaluation.cost import cost
from wavelight.evaluation.published_times import published_batch
from wavelight.evaluation.timing import Precision, calculating
from wavelight.noise import Noise
from wavelight.support.progress import tell
from wavelight.support.stopwatch import wait_for
from wavelight.support.tables import markdown_table
from wavelight.systems import ImageGenerator

EAGER: dict[str, str | None] = {"eager": None}
WAYS = EAGER | {"compiled": "default", "CUDA graphs": "reduce-overhead"}
"""The ways to run the networks, and the mode of ``torch.compile`` that each takes."""

MATRIX_SIDE = 8192
"""Side of the square matrices whose product sets the limit."""

_WARM_UPS = 5
"""They compile, choose convolutions, and record CUDA graphs, which takes three."""

_GRAPHS_A_FUNCTION = 64

_LEFT = ("experiment", "precision", "networks")

Start = Callable[[ImageGenerator, int], Callable[[], object]]


def rates(
    experiments: list[str], device: torch.device, repetitions: int, ways: dict[str, str | None]
) -> Iterator[str]:
    """Measure, say each row on stderr as it becomes known, and yield the lines of a Markdown table.

    Args:
        experiments: The names of experiments that come with the package.
        device: Where to measure; TF32 is left out where it is no GPU of CUDA.
        repetitions: How many batches are measured, after those that warm up.
        ways: Some of :data:`WAYS`.

    Raises:
        ValueError: If there is no such experiment.
    """
    batches = [_training_batch(name) for name in experiments]
    precisions = [each for each in Precision if each is not Precision.tf32 or device.type == "cuda"]
    products = {each: matrix_rate(each, device, repetitions) for each in precisions}
    speeds = ", ".join(f"{each.value} {rate / 1e3:.3g}" for each, rate in products.items())
    yield f"TFLOP/s of products of {MATRIX_SIDE}^3: {speeds}.\n"
    measured = []
    for name, batch in zip(experiments, batches, strict=True):
        torch.manual_seed(0)
        system = system_from_config(experiment_config(name)).to(device)
        for row in rows(name, system, batch, products, repetitions, ways):
            tell("  ".join(row.values()))
            measured.append(row)
    yield from markdown_table(measured, left=_LEFT)


def _training_batch(experiment: str) -> int:
    """Return how many images of a batch one of the experiment's devices gets."""
    import yaml

    found: dict[str, int] = {}
    for part in chain(shipped_experiment(experiment)):
        content = yaml.safe_load(Path(part).read_text() if part.endswith(".yaml") else part)
        found |= content.get("data", {}) | content.get("trainer", {})
    return found["batch_size"] // found["devices"]


def rows(
    name: str,
    system: ImageGenerator,
    batch: int,
    products: dict[Precision, float],
    repetitions: int,
    ways: dict[str, str | None],
) -> Iterator[dict[str, str]]:
    """Measure one system, and yield the cells of a row for each precision and each way.

    Args:
        name: Name of the system.
        system: On the device where to measure; it is left as it is.
        batch: Images of a training iteration.
        products: GFLOP/s of matrix products in the precisions to measure.
        repetitions: How many batches are measured.
        ways: Some of :data:`WAYS`.
    """
    generated = published_batch(system.image_size)
    trained = counted_gflop(training_iteration(copy.deepcopy(system), batch)) / batch
    sampling = 2 * sum(network.macs for network in cost(system)) / 1e9
    for precision, product in products.items():
        for way, mode in ways.items():
            cells = dict(zip(_LEFT, (name, precision.value, way), strict=True))
            for task, start, images, gflop in (
                ("training", training_iteration, batch, trained),
                ("sampling", _drawing, generated, sampling),
            ):
                speed = _images_a_second(system, start, images, precision, mode, repetitions)
                cells |= {
                    f"{task} images/s": f"{speed:.4g}",
                    f"{task}, of products": f"{speed * gflop / product:.0%}",
                }
            yield cells


def _images_a_second(
    original: ImageGenerator,
    start: Start,
    images: int,
    precision: Precision,
    mode: str | None,
    repetitions: int,
) -> float:
    system = copy.deepcopy(original)
    if mode is not None:
        _compile(system, mode)
    try:
        with calculating(precision, system.device):
            return images / seconds(start(system, images), system.device, repetitions)
    except RuntimeError as error:
        # Out of memory, or refused by the compiler: the other rows are worth having all the same.
        reason = str(error).strip().partition("\n")[0]
        sys.stderr.write(f"{images} images, {precision.value}, {mode or 'eager'}: {reason}\n")
        return nan


def _compile(system: ImageGenerator, mode: str) -> None:
    # What was compiled before counts against a limit, and holds memory.
    torch.compiler.reset()
    torch.compiler.config.recompile_limit = _GRAPHS_A_FUNCTION
    for model in system.factor_models():
        for player in model.players().values():
            player.network.compile(mode=mode, dynamic=False)


def matrix_rate(precision: Precision, device: torch.device, repetitions: int) -> float:
    """Return the GFLOP/s of a product of two square matrices in a precision."""
    dtype = torch.bfloat16 if precision is Precision.bfloat16 else torch.float32
    a, b = torch.randn(2, MATRIX_SIDE, MATRIX_SIDE, device=device, dtype=dtype)
    with calculating(precision, device):
        return 2 * MATRIX_SIDE**3 / 1e9 / seconds(lambda: a @ b, device, repetitions)


def seconds(run: Callable[[], object], device: torch.device, repetitions: int) -> float:
    """Return how long a run takes on average, when the next is started without waiting for it."""
    for _ in range(_WARM_UPS):
        run()
    wait_for(device)
    begun = perf_counter()
    for _ in range(repetitions):
        run()
    wait_for(device)
    return (perf_counter() - begun) / repetitions


def _drawing(system: ImageGenerator, images: int) -> Callable[[], Tensor]:
    system.eval()
    index = torch.arange(images, device=system.device)
    return lambda: system.generate(index, seed=0)


def training_iteration(system: ImageGenerator, images: int) -> Callable[[], None]:
    """Return what lets every player of a system learn in its turn from a batch, without the R1 penalty.

    Args:
        system: It learns; its optimizers are made anew.
        images: How many there are in the batch, which is of random numbers.
    """
    system.train()
    size = system.image_size
    batch = torch.rand(images, system.channels, size, size, device=system.device) * 2 - 1
    index = torch.arange(images, device=system.device)
    models = system.factor_models()
    optimizers = [
        {name: player.optimizer(player.network.parameters()) for name, player in players.items()}
        for players in (model.players() for model in models)
    ]

    def iteration() -> None:
        with torch.autocast(system.device.type, enabled=False):
            factors = system.factorization.encode(batch)
        for model, factor, of_model in zip(models, factors, optimizers, strict=True):
            for stream, (name, optimizer) in enumerate(of_model.items()):
                for other, player in model.players().items():
                    player.network.requires_grad_(other == name)
                optimizer.zero_grad()
                # Turn 1 comes after the one that has the penalty.
                terms = model.losses(name, factor, turn=1, noise=Noise(0, index, stream))
                if terms:
                    torch.stack(list(terms.values())).sum().backward()
                    optimizer.step()

    return iteration


def counted_gflop(run: Callable[[], object]) -> float:
    """Return 10^9 operations of the convolutions and products of a run: two a MAC."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops() / 1e9
