"""Seconds that a device takes."""

import platform
from collections.abc import Callable
from functools import partial
from time import perf_counter

import torch
from torch.utils.benchmark import Timer


def clock(device: torch.device) -> float:
    """Return the seconds of a clock, read once the device has done what it was given.

    For what begins and ends in different places, such as two hooks of a callback, around which no
    :class:`torch.utils.benchmark.Timer` can be put. Only differences mean something.

    Args:
        device: Where what is measured calculates.
    """
    wait_for(device)
    return perf_counter()


def seconds_of(device: torch.device, run: Callable[[], object]) -> float:
    """Return the seconds that one call of a run takes, until the device has done it.

    A Timer would call it twice more before each measurement. Runs that take turns must find the
    caches as the others left them, and some take minutes.

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
    begun = clock(device)
    run()
    return clock(device) - begun


def mean_seconds(device: torch.device, run: Callable[[], object], calls: int) -> float:
    """Return the seconds that a call of a run takes on average, when the next is started without waiting for it.

    Args:
        device: Where it calculates.
        run: Takes no arguments; two calls more, or a hundredth of ``calls``, come before those that
            are measured.
        calls: How many are measured.
    """
    timer = Timer(
        "run()",
        # Its own clock waits for the current device, which need not be this one.
        timer=partial(clock, device),
        globals={"run": run},
        # Else it would measure one thread.
        num_threads=torch.get_num_threads(),
    )
    return timer.timeit(calls).mean


def wait_for(device: torch.device) -> None:
    """Wait until a device has done what it was given."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def device_name(device: torch.device) -> str:
    """Return what a device is called in tables, such as ``cpu (x86_64)``."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} ({platform.machine()})"
