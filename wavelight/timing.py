"""How long drawing takes, measured as papers do, beside what it costs: ``python -m wavelight time``.

A measurement follows section 6 of WaveDiff's published protocol: evaluation mode, no gradients, one
fixed seed, warm-ups, then repetitions of drawing a whole batch, each waited for, timed by events of
the device (by the clock on a CPU), mean and standard deviation. A time is that of all network
evaluations, of the inverse wavelet transform, and also of the start noise and the clamp, which the
published times leave out; it is not that of the bytes, the copy to the host and the saving.
"""

import json
import platform
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from statistics import fmean, pstdev
from time import perf_counter
from typing import Any, NamedTuple

import torch
from torch import Tensor

from wavelight.checkpoints import experiment_config, load, system_from_config
from wavelight.configurations import shipped_experiments
from wavelight.cost import Evaluation, NetworkCost, cost, evaluations
from wavelight.devices import find_device
from wavelight.errors import check_least
from wavelight.metrics.base import to_uint8
from wavelight.systems import ImageGenerator

PUBLISHED_SECONDS: dict[str, tuple[float | None, float]] = {
    "cifar10": (0.07, 0.08),
    "stl10": (0.12, 0.38),
    "celeba256": (0.08, 0.79),
    "celeba512": (0.10, 0.59),
    "celeba1024": (0.12, 0.59),
    "church": (0.16, 1.54),
    "cifar10_ddgan": (None, 0.21),
    "stl10_ddgan": (None, 0.58),
    "celeba256_ddgan": (None, 1.73),
    "celeba512_ddgan": (None, 1.49),
    "church_ddgan": (None, 3.42),
    "celeba256_plain": (None, 0.60),
    "celeba256_no_residual": (None, 0.78),
    "celeba256_no_updown": (None, 0.61),
    "celeba256_no_bottleneck": (None, 0.78),
}
"""Seconds of one image and of a batch on one A100 (the poster of WaveDiff, CVPR 2023, WED-AM-188)."""

_SEED = 0

_CONDITIONS = (
    "{device}, torch {torch}, {precision}, {networks} networks, {threads} threads; {warm_ups} warm-ups, then mean ± "
    "standard deviation of {repetitions} repetitions."
)
_LEGEND = (
    "Timed: steps, noise, inverse wavelet, clamp. Published: on one A100, without the start noise and the clamp.",
    "Memory: peak of the tensors on a GPU; on a CPU, peak of this process since it started.",
    "Beside networks: what is not theirs of the time from noise to bytes on the host.",
    "Network by network, for an image: NFE, evaluations; GMAC, 10^9 multiply-adds of convolutions, linear layers and "
    "attention.",
)


class Precision(Enum):
    """In which numbers the networks calculate; all else is float32."""

    float32 = "float32"
    tf32 = "tf32"
    """Float32 whose factors are rounded to 10 bits, as the published times on an A100 had it."""

    bfloat16 = "bfloat16"
    """Mixed, by autocast, as ``trainer.precision: bf16-mixed`` has it."""


class Timing(NamedTuple):
    """What was measured of one system at one batch size."""

    system: str
    image_size: int
    images: int
    """How many were drawn at once."""

    draws: list[float]
    """Seconds of each repetition."""

    peak_memory: int
    """Bytes: what tensors took on a GPU; on a CPU what the process took since it started."""

    deliveries: list[float]
    """Seconds of some more batches, from noise to bytes on the host."""

    replays: list[float]
    """Seconds of the network evaluations of a batch alone, measured in turns with ``deliveries``."""

    networks: list[NetworkCost]

    @property
    def seconds(self) -> float:
        """The mean time of drawing a batch."""
        return fmean(self.draws)

    @property
    def deviation(self) -> float:
        """The standard deviation of that time over the repetitions, in seconds."""
        return pstdev(self.draws)

    @property
    def beside_networks(self) -> float:
        """The share of the way from noise to bytes on the host that is not the networks', by the quietest moments."""
        return 1 - min(self.replays) / min(self.deliveries)

    @property
    def published(self) -> float | None:
        """The published seconds on an A100, where there are some for this batch."""
        image, batch = PUBLISHED_SECONDS.get(self.system, (None, None))
        return {1: image, published_batch(self.image_size): batch}.get(self.images)


def published_batch(image_size: int) -> int:
    """Return the batch of published times: 100 images, but 25 of 512 pixels and more."""
    return 25 if image_size >= 512 else 100


def time(
    systems: str | list[str],
    batch_sizes: list[int] | None = None,
    warm_ups: int = 10,
    repetitions: int = 300,
    device: str | None = None,
    precision: Precision = Precision.float32,
    compiled: bool = False,
    threads: int | None = None,
    out: Path | None = None,
) -> str:
    """Measure how long drawing takes, as papers do, and what it costs beside; no data are needed.

    Prints a table of single images and a table of batches, with the published times beside them.

    Args:
        systems: What draws: a checkpoint, an exported generator, or the name of an experiment that
            comes with the package, whose random weights cost the same; or several of them,
            [cifar10,stl10,runs/church/checkpoints/last.ckpt].
        batch_sizes: How many images are drawn at once, such as [1,100]; none takes both published
            sizes: one, and 100 (25 of 512 pixels and more).
        warm_ups: Batches drawn before measuring.
        repetitions: Batches measured.
        device: Where to draw: cpu, cuda, cuda:1, mps; none takes a GPU if there is one.
        precision: In which numbers the networks calculate; tf32 is what published times had.
        compiled: Whether the networks are compiled, which takes a minute or more a batch size.
        threads: Processor threads to use; none leaves it to PyTorch.
        out: A JSON file for all numbers, every repetition's among them.
    """
    names = [systems] if isinstance(systems, str) else systems
    for name in names:
        _check_known(name)
    _check(names, batch_sizes or [1], warm_ups, repetitions, threads)
    where = _device(device, precision)
    if threads is not None:
        torch.set_num_threads(threads)
    with calculating(precision, where):
        timings = [
            timing
            for name in names
            for timing in measure(
                name, _moved(build(name), where), batch_sizes, warm_ups, repetitions, compiled
            )
        ]
    conditions = {
        "device": device_name(where),
        "torch": torch.__version__,
        "precision": precision.value,
        "networks": "compiled" if compiled else "eager",
        "threads": torch.get_num_threads(),
        "warm_ups": warm_ups,
        "repetitions": repetitions,
    }
    if out is not None:
        _write(out, conditions, timings)
    return report(conditions, timings)


def build(name: str) -> ImageGenerator:
    """Build a system from a file, or an untrained one of an experiment that comes with the package.

    Args:
        name: A checkpoint, an exported generator, or an experiment's name.

    Raises:
        FileNotFoundError: If there is neither.
        ValueError: If the file is no checkpoint of wavelight.
    """
    _check_known(name)
    if Path(name).is_file():
        return load(name)
    return system_from_config(experiment_config(name))


@contextmanager
def calculating(precision: Precision, device: torch.device) -> Iterator[None]:
    """Let networks calculate in a precision, and no other, as long as the context lasts."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    rounded = precision is Precision.tf32
    torch.set_float32_matmul_precision("high" if rounded else "highest")
    torch.backends.cudnn.allow_tf32 = rounded
    try:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision is Precision.bfloat16):
            yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


# --- measuring ---


def measure(
    name: str,
    system: ImageGenerator,
    batch_sizes: list[int] | None,
    warm_ups: int,
    repetitions: int,
    compiled: bool,
) -> Iterator[Timing]:
    """Time a system at each batch size, both published ones if none is given.

    Args:
        name: What the system is called.
        system: On the device that is to draw; its networks are left compiled, if they are to be.
        batch_sizes: How many images are drawn at once.
        warm_ups: Batches drawn before measuring, at each batch size.
        repetitions: Batches measured, at each batch size.
        compiled: Whether the networks are compiled.
    """
    system.eval()
    sizes = batch_sizes or [1, published_batch(system.image_size)]
    networks = cost(system)
    # Compiled networks could not be counted.
    calls = [evaluations(system, images) for images in sizes]
    if compiled:
        system.compile_for_drawing()
    for images, made in zip(sizes, calls, strict=True):
        sys.stderr.write(f"{name}, {images} at once: ")
        sys.stderr.flush()
        if compiled:
            # What was compiled for other sizes counts against a limit.
            torch._dynamo.reset()
        draws, peak = _time_draws(system, images, warm_ups, repetitions)
        parts = _time_parts(system, images, made, max(repetitions // 10, 3))
        timing = Timing(name, system.image_size, images, draws, peak, *parts, networks)
        sys.stderr.write(f"{timing.seconds:.4f} s\n")
        yield timing


def _time_draws(
    system: ImageGenerator, images: int, warm_ups: int, repetitions: int
) -> tuple[list[float], int]:
    """Return the seconds of each batch, and the peak of the memory."""
    index = torch.arange(images, device=system.device)
    if system.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(system.device)
    for _ in range(warm_ups):
        system.draw(index, _SEED)
    draws = [
        seconds_of(system.device, lambda: system.draw(index, _SEED)) for _ in range(repetitions)
    ]
    return draws, _peak_memory(system.device)


def _time_parts(
    system: ImageGenerator, images: int, calls: dict[str, list[Evaluation]], repetitions: int
) -> tuple[list[float], list[float]]:
    """Return the seconds from noise to bytes on the host, and of the networks alone, in turns."""
    index = torch.arange(images, device=system.device)
    replay = _replay(system, calls)
    replay()
    deliveries, replays = [], []
    for _ in range(repetitions):
        deliveries.append(
            seconds_of(system.device, lambda: to_uint8(system.draw(index, _SEED)).cpu())
        )
        replays.append(seconds_of(system.device, replay))
    return deliveries, replays


def _replay(system: ImageGenerator, calls: dict[str, list[Evaluation]]) -> Callable[[], None]:
    """Return what evaluates the networks as often as a batch does, on inputs of the same shapes."""
    networks = system.sampling_networks()
    made = [
        (networks[name], [_filled(like, system.device) for like in call.inputs], call.times)
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


def seconds_of(device: torch.device, run: Callable[[], object]) -> float:
    """Return the seconds that a run takes, until the device has done it.

    Args:
        device: Where it calculates; a CUDA device times it by its events, others by the clock.
        run: Takes no arguments.
    """
    if device.type == "cuda":
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        run()
        end.record()
        torch.cuda.synchronize(device)
        return start.elapsed_time(end) / 1e3
    wait_for(device)
    begun = perf_counter()
    run()
    wait_for(device)
    return perf_counter() - begun


def _moved(system: ImageGenerator, device: torch.device) -> ImageGenerator:
    """Move what draws, so that discriminators count as no memory."""
    system.to(device)
    kept = {
        id(part) for network in system.sampling_networks().values() for part in network.parameters()
    }
    for parameter in system.parameters():
        if id(parameter) not in kept:
            parameter.data = parameter.data.cpu()
    return system


def wait_for(device: torch.device) -> None:
    """Wait until a device has done what it was given."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def _peak_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


# --- input and output ---


def _check_known(name: str) -> None:
    known = shipped_experiments()
    if not Path(name).is_file() and name not in known:
        raise FileNotFoundError(
            f"there is no checkpoint {name!r}, and no experiment; there are {', '.join(known)}"
        )


def _check(
    names: list[str], batch_sizes: list[int], warm_ups: int, repetitions: int, threads: int | None
) -> None:
    if not names:
        raise ValueError("nothing is named whose drawing is to be timed")
    least = {
        "a batch size": (min(batch_sizes), 1),
        "warm_ups": (warm_ups, 0),
        "repetitions": (repetitions, 1),
        "threads": (threads, 1),
    }
    check_least(least)


def _device(name: str | None, precision: Precision) -> torch.device:
    device = find_device(name)
    if precision is Precision.tf32 and device.type != "cuda":
        raise ValueError(f"tf32 is a precision of CUDA devices, not of {device.type}")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device


def device_name(device: torch.device) -> str:
    """Return what a device is called in tables, such as ``cpu (x86_64)``."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} ({platform.machine()})"


def report(conditions: dict[str, Any], timings: list[Timing]) -> str:
    """Return the conditions and two tables, of single images and of batches, as Markdown."""
    lines = [_CONDITIONS.format(**conditions), *_LEGEND]
    for title, chosen in (
        ("One image", [timing for timing in timings if timing.images == 1]),
        ("A batch", [timing for timing in timings if timing.images > 1]),
    ):
        if chosen:
            lines += ["", f"## {title}", "", *markdown_table([_cells(timing) for timing in chosen])]
    return "\n".join(lines)


def _cells(timing: Timing) -> dict[str, str]:
    def of_each(attribute: str, scale: float = 1) -> str:
        values = [getattr(network, attribute) / scale for network in timing.networks]
        return " + ".join(f"{value:.4g}" for value in values)

    return {
        "system": timing.system,
        "pixels": str(timing.image_size),
        "NFE": of_each("evaluations"),
        "batch": str(timing.images),
        "ms": f"{1e3 * timing.seconds:.2f} ± {1e3 * timing.deviation:.2f}",
        "s": f"{timing.seconds:.3f}",
        "published s": "" if timing.published is None else f"{timing.published:.2f}",
        "images/s": f"{timing.images / timing.seconds:.2f}",
        "memory MB": f"{timing.peak_memory / 1e6:.0f}",
        "beside networks": f"{timing.beside_networks:.1%}",
        "GMAC": of_each("multiply_adds", 1e9),
        "10^6 parameters": of_each("parameters", 1e6),
    }


def markdown_table(rows: list[dict[str, str]]) -> list[str]:
    """Return the lines of a table of Markdown, its columns aligned to the right.

    Args:
        rows: At least one; cells by the names of the columns, the same in every row.
    """
    columns = list(rows[0])
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in columns}
    cells = [dict(zip(columns, columns, strict=True)), *rows]
    lines = [
        "| " + " | ".join(row[name].rjust(widths[name]) for name in columns) + " |" for row in cells
    ]
    rule = "|" + "|".join("-" * (widths[name] + 1) + ":" for name in columns) + "|"
    return [lines[0], rule, *lines[1:]]


def _write(path: Path, conditions: dict[str, Any], timings: list[Timing]) -> None:
    rows = [
        timing._asdict()
        | {
            "mean": timing.seconds,
            "deviation": timing.deviation,
            "images_per_second": timing.images / timing.seconds,
            "beside_networks": timing.beside_networks,
            "published": timing.published,
            "networks": [network._asdict() for network in timing.networks],
        }
        for timing in timings
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"conditions": conditions, "timings": rows}, indent=1) + "\n")
