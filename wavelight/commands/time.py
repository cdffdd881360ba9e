"""``wavelight time``: sampling time as papers measure it, and cost."""

from pathlib import Path

import torch

from wavelight.evaluation.timing import (
    Precision,
    calculating,
    check_known,
    load_or_build,
    measure_timing,
    moved,
)
from wavelight.evaluation.timing_report import report_timing, write_timings
from wavelight.support.devices import find_device
from wavelight.support.errors import check_least
from wavelight.support.stopwatch import device_name


def time(
    systems: list[str],
    batch_sizes: list[int] | None = None,
    warm_ups: int = 10,
    repetitions: int = 300,
    device: str | None = None,
    precision: Precision = Precision.float32,
    compiled: bool = False,
    threads: int | None = None,
    out: Path | None = None,
    trust_code: bool = False,
) -> str:
    """Measure sampling time by the papers' protocol, with memory, MACs and parameters; no data are needed.

    Prints a table of single images and a table of batches, with the published times beside them.

    Args:
        systems: Systems to time: checkpoints, exported generators (.safetensors), or names of experiments
            that come with the package, whose untrained weights cost the same; such as
            cifar10 stl10 runs/church/checkpoints/last.ckpt.
        batch_sizes: How many images are generated at once, such as [1,100]; by default both published
            sizes: one, and 100 (25 of 512 pixels and more).
        warm_ups: Batches generated before measuring.
        repetitions: How many batches are timed.
        device: The device: cpu, cuda, cuda:1, mps; by default a GPU if there is one.
        precision: Arithmetic of the networks; published times had tf32.
        compiled: Whether the networks are compiled first, which takes a minute or more a batch size.
        threads: Processor threads to use; by default PyTorch's number.
        out: A JSON file for all numbers, every repetition's among them.
        trust_code: Whether the checkpoints may name any class, and so run code of their own.
    """
    for name in systems:
        check_known(name)
    _check(systems, batch_sizes or [1], warm_ups, repetitions, threads)
    where = _device(device, precision)
    if threads is not None:
        torch.set_num_threads(threads)
    with calculating(precision, where):
        timings = [
            timing
            for name in systems
            for timing in measure_timing(
                name,
                moved(load_or_build(name, trust_code), where),
                batch_sizes,
                warm_ups,
                repetitions,
                compiled,
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
        write_timings(out, conditions, timings)
    return report_timing(conditions, timings)


# --- input and output ---


def _check(
    names: list[str], batch_sizes: list[int], warm_ups: int, repetitions: int, threads: int | None
) -> None:
    if not names:
        raise ValueError("systems is empty: name at least one checkpoint or experiment")
    least = {
        "batch_sizes": (min(batch_sizes), 1),
        "warm_ups": (warm_ups, 0),
        "repetitions": (repetitions, 1),
        "threads": (threads, 1),
    }
    check_least(least)


def _device(name: str | None, precision: Precision) -> torch.device:
    device = find_device(name)
    if precision is Precision.tf32 and device.type != "cuda":
        raise ValueError(f"precision tf32 needs a CUDA device, got {device.type}")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device
