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
    """Measure how long sampling takes, as papers do, and what it costs beside; no data are needed.

    Prints a table of single images and a table of batches, with the published times beside them.

    Args:
        systems: Systems to time: a checkpoint, an exported generator, or the name of an experiment that
            comes with the package, whose random weights cost the same; or several of them,
            [cifar10,stl10,runs/church/checkpoints/last.ckpt].
        batch_sizes: How many images are generated at once, such as [1,100]; none takes both published
            sizes: one, and 100 (25 of 512 pixels and more).
        warm_ups: Batches generated before measuring.
        repetitions: Batches measured.
        device: Where to sample: cpu, cuda, cuda:1, mps; none takes a GPU if there is one.
        precision: In which numbers the networks calculate; tf32 is what published times had.
        compiled: Whether the networks are compiled, which takes a minute or more a batch size.
        threads: Processor threads to use; none leaves it to PyTorch.
        out: A JSON file for all numbers, every repetition's among them.
    """
    names = [systems] if isinstance(systems, str) else systems
    for name in names:
        check_known(name)
    _check(names, batch_sizes or [1], warm_ups, repetitions, threads)
    where = _device(device, precision)
    if threads is not None:
        torch.set_num_threads(threads)
    with calculating(precision, where):
        timings = [
            timing
            for name in names
            for timing in measure_timing(
                name,
                moved(load_or_build(name), where),
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
        "a batch size": (min(batch_sizes), 1),
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
