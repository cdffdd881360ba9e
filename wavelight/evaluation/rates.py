"""How many images an experiment trains and samples a second on a device, next to the rate of its matrix products.

The part of ``python -m wavelight benchmark`` that is for GPUs: ``--device cuda``. Everything is
measured at the batch that one device gets in the experiment (training, by
:mod:`wavelight.evaluation.training_speed`) and at the published batch (sampling), back to back, without
waiting for the device in between, with weights generated at random.
"""

import copy
import sys
from collections.abc import Callable, Iterator
from math import nan

import torch

from wavelight.checkpoints.loading import system_from_config
from wavelight.checkpoints.published import experiment_config
from wavelight.config.bases import chain, content_of
from wavelight.config.experiments import shipped_experiment
from wavelight.evaluation.published_times import published_batch
from wavelight.evaluation.timing import Precision, calculating
from wavelight.evaluation.training_speed import (
    compile_for_training,
    training_gflop,
    training_seconds,
)
from wavelight.support.progress import tell
from wavelight.support.stopwatch import mean_seconds
from wavelight.support.tables import markdown_table
from wavelight.systems import ImageGenerator
from wavelight.systems.cost import cost

EAGER: dict[str, str | None] = {"eager": None}
WAYS = EAGER | {"compiled": "default", "CUDA graphs": "reduce-overhead"}
"""The ways to run the networks, and the mode of ``torch.compile`` that each takes."""

MATRIX_SIDE = 8192
"""Side of the square matrices whose product sets the limit."""

_WARM_UPS = 5
"""They compile, choose convolutions, and record CUDA graphs, which takes three."""

_LEFT = ("experiment", "precision", "networks")

BatchSeconds = Callable[[ImageGenerator, int, Precision, int], float]
"""Seconds of a batch, given a system, which it may change, the images of a batch, the precision, and repetitions."""


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
        for row in rate_rows(name, system, batch, products, repetitions, ways):
            tell("  ".join(row.values()))
            measured.append(row)
    yield from markdown_table(measured, left=_LEFT)


def _training_batch(experiment: str) -> int:
    """Return how many images of a batch one of the experiment's devices gets."""
    found: dict[str, int] = {}
    for part in chain(shipped_experiment(experiment)):
        content = content_of(part)
        found |= content.get("data", {}) | content.get("trainer", {})
    return found["batch_size"] // found["devices"]


def rate_rows(
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
    trained = training_gflop(copy.deepcopy(system), batch) / batch
    sampling = 2 * sum(network.macs for network in cost(system)) / 1e9
    for precision, product in products.items():
        for way, mode in ways.items():
            cells = dict(zip(_LEFT, (name, precision.value, way), strict=True))
            for task, seconds_of_batch, images, gflop in (
                ("training", _training_seconds, batch, trained),
                ("sampling", _sampling_seconds, generated, sampling),
            ):
                speed = _images_a_second(
                    system, seconds_of_batch, images, precision, mode, repetitions
                )
                cells |= {
                    f"{task} images/s": f"{speed:.4g}",
                    f"{task}, of products": f"{speed * gflop / product:.0%}",
                }
            yield cells


def _images_a_second(
    original: ImageGenerator,
    seconds_of_batch: BatchSeconds,
    images: int,
    precision: Precision,
    mode: str | None,
    repetitions: int,
) -> float:
    system = copy.deepcopy(original)
    if mode is not None:
        compile_for_training(system, mode)
    try:
        return images / seconds_of_batch(system, images, precision, repetitions)
    except (RuntimeError, FloatingPointError) as error:
        # Out of memory, refused by the compiler, or diverged: the other rows are worth having all the same.
        reason = str(error).strip().partition("\n")[0]
        sys.stderr.write(f"{images} images, {precision.value}, {mode or 'eager'}: {reason}\n")
        return nan


def matrix_rate(precision: Precision, device: torch.device, repetitions: int) -> float:
    """Return the GFLOP/s of a product of two square matrices in a precision."""
    dtype = torch.bfloat16 if precision is Precision.bfloat16 else torch.float32
    a, b = torch.randn(2, MATRIX_SIDE, MATRIX_SIDE, device=device, dtype=dtype)
    with calculating(precision, device):
        return 2 * MATRIX_SIDE**3 / 1e9 / _seconds(lambda: a @ b, device, repetitions)


def _sampling_seconds(
    system: ImageGenerator, images: int, precision: Precision, repetitions: int
) -> float:
    system.eval()
    index = torch.arange(images, device=system.device)
    with calculating(precision, system.device):
        return _seconds(lambda: system.generate(index, seed=0), system.device, repetitions)


def _training_seconds(
    system: ImageGenerator, images: int, precision: Precision, repetitions: int
) -> float:
    return training_seconds(system, images, precision, _WARM_UPS, repetitions)


def _seconds(run: Callable[[], object], device: torch.device, repetitions: int) -> float:
    for _ in range(_WARM_UPS):
        run()
    return mean_seconds(device, run, repetitions)
