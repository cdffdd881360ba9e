"""The time that sampling takes, and the share of its parts."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from functools import partial
from pathlib import Path
from statistics import fmean, pstdev
from typing import NamedTuple

import torch
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor

from wavelight.checkpoints.loading import load, system_from_config
from wavelight.checkpoints.published import experiment_config
from wavelight.config.experiments import shipped_experiments
from wavelight.evaluation.published_times import published_batch, published_seconds
from wavelight.support.peak_memory import peak_memory
from wavelight.support.pictures import to_uint8
from wavelight.support.stopwatch import seconds_of
from wavelight.systems import ImageGenerator
from wavelight.systems.cost import NetworkCalls, NetworkCost, cost, network_calls

_SEED = 0


class Precision(Enum):
    """In which numbers the networks calculate; all else is float32."""

    float32 = "float32"
    tf32 = "tf32"
    """Float32 whose factors are rounded to 10 bits, as the published times on an A100 had it."""

    bfloat16 = "bfloat16"
    """Mixed, by autocast, as ``trainer.precision: bf16-mixed`` has it."""


class Timing(NamedTuple):
    """Times of one system at one batch size."""

    system: str
    image_size: int
    images: int
    """Images generated at once."""

    batch_seconds: list[float]
    """Seconds of each repetition, for the whole batch."""

    peak_memory: int
    """Bytes: what tensors took on a GPU; on a CPU what the process took since it started."""

    deliveries: list[float]
    """Seconds of some more batches, from noise to bytes on the host."""

    replays: list[float]
    """Seconds of the network evaluations of a batch alone, measured in turns with ``deliveries``."""

    networks: list[NetworkCost]

    @property
    def seconds(self) -> float:
        """The mean time of sampling a batch."""
        return fmean(self.batch_seconds)

    @property
    def deviation(self) -> float:
        """The standard deviation of that time over the repetitions, in seconds."""
        return pstdev(self.batch_seconds)

    @property
    def beside_networks(self) -> float:
        """The share of the way from noise to bytes on the host that is not the networks', by the quietest moments."""
        return 1 - min(self.replays) / min(self.deliveries)

    @property
    def published(self) -> float | None:
        """The published seconds on an A100, where there are some for this batch."""
        image, batch = published_seconds(self.system)
        return {1: image, published_batch(self.image_size): batch}.get(self.images)


def load_or_build(name: str, trust_code: bool) -> ImageGenerator:
    """Build a system from a file, or an untrained one of an experiment that comes with the package.

    Args:
        name: A checkpoint, an exported generator, or an experiment's name.
        trust_code: Whether a file may name any class.

    Raises:
        FileNotFoundError: If there is neither.
        ValueError: If the file is no checkpoint of wavelight.
    """
    check_known(name)
    if Path(name).is_file():
        return load(name, trust_code=trust_code)
    return system_from_config(experiment_config(name))


@contextmanager
def calculating(precision: Precision, device: torch.device) -> Iterator[None]:
    """Let networks calculate in a precision, and no other, as long as the context lasts."""
    mixed = precision is Precision.bfloat16
    with rounding(precision), torch.autocast(device.type, torch.bfloat16, enabled=mixed):
        yield


@contextmanager
def rounding(precision: Precision) -> Iterator[None]:
    """Let float32 products round their factors if a precision says so, and else not, as long as the context lasts."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    rounded = precision is Precision.tf32
    torch.set_float32_matmul_precision("high" if rounded else "highest")
    torch.backends.cudnn.allow_tf32 = rounded
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


# --- measuring ---


def measure_timing(
    name: str,
    system: ImageGenerator,
    batch_sizes: list[int] | None,
    warm_ups: int,
    repetitions: int,
    compiled: bool,
) -> Iterator[Timing]:
    """Time a system at each batch size, both published ones if none is given.

    Args:
        name: Name of the system.
        system: On the device that is to sample; its networks are left compiled, if they are to be.
        batch_sizes: How many images are generated at once.
        warm_ups: Batches generated before measuring, at each batch size.
        repetitions: Batches measured, at each batch size.
        compiled: Whether the networks are compiled.
    """
    system.eval()
    sizes = batch_sizes or [1, published_batch(system.image_size)]
    networks = cost(system)
    # Compiled networks could not be counted.
    calls = [network_calls(system, images) for images in sizes]
    if compiled:
        system.compile_for_sampling()
    for images, made in zip(sizes, calls, strict=True):
        sys.stderr.write(f"{name}, {images} at once: ")
        sys.stderr.flush()
        if compiled:
            # What was compiled for other sizes counts against a limit.
            torch.compiler.reset()
        batch_seconds, peak = _time_batches(system, images, warm_ups, repetitions)
        parts = _time_parts(system, images, made, max(repetitions // 10, 3))
        timing = Timing(name, system.image_size, images, batch_seconds, peak, *parts, networks)
        sys.stderr.write(f"{timing.seconds:.4f} s\n")
        yield timing


def _time_batches(
    system: ImageGenerator, images: int, warm_ups: int, repetitions: int
) -> tuple[list[float], int]:
    """Return the seconds of each batch, and the peak of the memory."""
    index = torch.arange(images, device=system.device)
    if system.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(system.device)
    for _ in range(warm_ups):
        system.generate(index, _SEED)
    batch_seconds = [
        seconds_of(system.device, lambda: system.generate(index, _SEED)) for _ in range(repetitions)
    ]
    return batch_seconds, peak_memory(system.device)


def _time_parts(
    system: ImageGenerator, images: int, calls: dict[str, list[NetworkCalls]], repetitions: int
) -> tuple[list[float], list[float]]:
    """Return the seconds from noise to bytes on the host, and of the networks alone, in turns."""
    index = torch.arange(images, device=system.device)
    replay = _replay(system, calls)
    replay()
    deliveries, replays = [], []
    for _ in range(repetitions):
        deliveries.append(
            seconds_of(system.device, lambda: to_uint8(system.generate(index, _SEED)).cpu())
        )
        replays.append(seconds_of(system.device, replay))
    return deliveries, replays


def _replay(system: ImageGenerator, calls: dict[str, list[NetworkCalls]]) -> Callable[[], None]:
    """Return what evaluates the networks as often as a batch does, on inputs of the same shapes."""
    networks = system.sampling_networks()
    filled = partial(_filled, device=system.device)
    made = [
        (networks[name], apply_to_collection(call.inputs, Tensor, filled), call.times)
        for name, of_network in calls.items()
        for call in of_network
    ]

    @torch.no_grad()
    def replay() -> None:
        for network, inputs, times in made:
            for _ in range(times):
                network(*inputs)

    return replay


def _filled(like: Tensor, device: torch.device) -> Tensor:
    if like.is_floating_point():
        return torch.randn(like.shape, dtype=like.dtype, device=device)
    return torch.zeros(like.shape, dtype=like.dtype, device=device)


def moved(system: ImageGenerator, device: torch.device) -> ImageGenerator:
    """Move what samples, so that discriminators count as no memory."""
    system.to(device)
    kept = {
        id(part) for network in system.sampling_networks().values() for part in network.parameters()
    }
    for parameter in system.parameters():
        if id(parameter) not in kept:
            parameter.data = parameter.data.cpu()
    return system


def check_known(name: str) -> None:
    """Refuse a name that is neither a file nor an experiment that ships."""
    known = shipped_experiments()
    if not Path(name).is_file() and name not in known:
        raise FileNotFoundError(
            f"there is no checkpoint or experiment {name!r}: the experiments are {', '.join(known)}"
        )
