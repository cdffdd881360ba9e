"""Sums, means, extremes and lists over the processes of a distributed run; one process has its own."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, distributed


def rank() -> int:
    """Return the number of this process, from 0."""
    return distributed.get_rank() if _is_distributed() else 0


def world_size() -> int:
    """Return the number of processes."""
    return distributed.get_world_size() if _is_distributed() else 1


def total(tensor: Tensor) -> Tensor:
    """Return the sum of a tensor over all processes, which must hold equal shapes; collective."""
    if not _is_distributed():
        return tensor
    # Not an in-place sum: the process goes on adding to its own part.
    tensor = tensor.clone()
    distributed.all_reduce(tensor)
    return tensor


def mean(tensor: Tensor) -> Tensor:
    """Return the mean of a tensor over all processes, which must hold equal shapes; collective."""
    return total(tensor) / world_size() if _is_distributed() else tensor


def least(tensor: Tensor) -> Tensor:
    """Return the smallest of each number of a tensor over all processes, which must hold equal shapes; collective."""
    if not _is_distributed():
        return tensor
    tensor = tensor.clone()
    distributed.all_reduce(tensor, distributed.ReduceOp.MIN)
    return tensor


def largest_shapes(shapes: Mapping[str, torch.Size]) -> dict[str, torch.Size]:
    """Return by name the processes' shape with most dimensions, for one that saw nothing; collective."""
    found = gathered({name: tuple(shape) for name, shape in shapes.items()})
    return {name: _longest([each[name] for each in found]) for name in shapes}


def gathered(value: Any) -> list[Any]:
    """Return what all processes hold, by rank; collective."""
    if not _is_distributed():
        return [value]
    found: list[Any] = [None] * world_size()
    distributed.all_gather_object(found, value)
    return found


def _longest(shapes: list[tuple[int, ...]]) -> torch.Size:
    longest: tuple[int, ...] = max(shapes, key=len)
    return torch.Size(longest)


def _is_distributed() -> bool:
    return distributed.is_available() and distributed.is_initialized()
