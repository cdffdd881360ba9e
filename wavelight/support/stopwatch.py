"""Seconds that a device takes."""

import platform
from collections.abc import Callable
from time import perf_counter

import torch


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


def wait_for(device: torch.device) -> None:
    """Wait until a device has done what it was given."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def device_name(device: torch.device) -> str:
    """Return what a device is called in tables, such as ``cpu (x86_64)``."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} ({platform.machine()})"
