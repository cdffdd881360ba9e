"""The times that a sampler visits.

A schedule is called ``schedule(process, steps)`` and returns ``(steps + 1,)`` falling times, float64 on the CPU: a
sampler works out its coefficients there, in full precision and without waiting for the device. The last time is exactly
the process's ``start``, where sampling stops.
"""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor
from typing_extensions import override

from wavelight.diffusion.processes import Process


class Schedule(ABC):
    """Where the steps of a sampler begin and end."""

    @abstractmethod
    def __call__(self, process: Process, steps: int) -> Tensor:
        """Return the times between the steps.

        Args:
            process: The process to sample from.
            steps: The number of steps, at least 1.

        Returns:
            ``(steps + 1,)`` float64 on the CPU, falling; the last is exactly ``process.start``.

        Raises:
            ValueError: If there is no step.
        """


class Uniform(Schedule):
    """Equal steps of time, from the process's end: WSGM's sampling (Guth et al., 2022, section 2)."""

    @override
    def __call__(self, process: Process, steps: int) -> Tensor:
        u = _falling(steps)
        return (1 - u) * process.start + u * process.end


class Quadratic(Schedule):
    """Steps in proportion to their number, t = T u^2: WSGM's times of training, as a sampling schedule."""

    @override
    def __call__(self, process: Process, steps: int) -> Tensor:
        u = _falling(steps) ** 2
        return (1 - u) * process.start + u * process.end


class Karras(Schedule):
    """Equal steps of ratio^(1 / rho) between two noise levels, then one to the process's start (EDM, equation 5).

    Args:
        smallest: The last noise level but one, sigma / alpha; 0.004 matches the default for data of unit variance.
        largest: The first noise level.
        rho: How much shorter the steps are at small noise; 1 makes them equal.

    Raises:
        ValueError: If the levels do not rise from above 0, or rho is not above 0; in the call, if the process does not
            pass through them.
    """

    def __init__(self, smallest: float = 0.002, largest: float = 80.0, rho: float = 7.0) -> None:
        if not (0 < smallest < largest and rho > 0):
            raise ValueError(
                "smallest, largest and rho must be 0 < smallest < largest and rho > 0, got "
                f"{smallest}, {largest} and {rho}"
            )
        self.smallest = smallest
        self.largest = largest
        self.rho = rho

    @override
    def __call__(self, process: Process, steps: int) -> Tensor:
        low, high = process.sigma_over_alpha(_limits(process)).tolist()
        if not low < self.smallest < self.largest <= high:
            raise ValueError(
                "smallest and largest of Karras must lie within the process's noise levels, "
                f"{low:g} to {high:g}, got {self.smallest:g} and {self.largest:g}"
            )
        # A multiple of the largest level, so that the first is exact.
        u = torch.linspace(0, 1, _checked(steps), dtype=torch.float64)
        fall = 1 - (self.smallest / self.largest) ** (1 / self.rho)
        times = process.time_of(self.largest * (1 - u * fall) ** self.rho)
        return torch.cat([times, _limits(process)[:1]])


class Cosine(Schedule):
    """Nearly equal steps of arctan(ratio): improved DDPM's schedule (Nichol and Dhariwal, 2021, equation 17).

    There alpha(u) = cos(phi(u)) / cos(phi(0)) with phi(u) = (u + offset) / (1 + offset) pi / 2, variance preserving.
    Here u takes equal steps between the noise levels of the process's end and its start.

    Args:
        offset: Keeps the steps near the image from being too short.

    Raises:
        ValueError: If the offset is negative.
    """

    def __init__(self, offset: float = 0.008) -> None:
        if offset < 0:
            raise ValueError(f"offset must not be negative, got {offset}")
        self.offset = offset

    @override
    def __call__(self, process: Process, steps: int) -> Tensor:
        first = math.cos(self.offset / (1 + self.offset) * math.pi / 2)
        # 1 / sqrt(1 + ratio^2) is the alpha that a variance-preserving process has at that ratio.
        low, high = (first * (1 + process.sigma_over_alpha(_limits(process)) ** 2).rsqrt()).acos()
        u = _falling(steps)
        alpha = ((1 - u) * low + u * high).cos() / first
        # Clamped, because rounding can lift the last alpha above 1.
        times = process.time_of((1 / alpha**2 - 1).clamp(min=0).sqrt())
        times[0], times[-1] = process.end, process.start
        return times


def _checked(steps: int) -> int:
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    return steps


def _falling(steps: int) -> Tensor:
    """Return ``(steps + 1,)`` numbers in equal steps from 1 to 0."""
    return torch.linspace(1, 0, _checked(steps) + 1, dtype=torch.float64)


def _limits(process: Process) -> Tensor:
    return torch.tensor([process.start, process.end], dtype=torch.float64)
