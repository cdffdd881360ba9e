"""Passes over all pairs of two sets of features, in blocks, which the processes share out."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from wavelight.support.collectives import rank, world_size
from wavelight.support.progress import with_progress

ROWS = 1024
COLUMNS = 8192
"""A block has so many pairs: 34 MB of float32, whatever the number of features."""


def own_rows(count: int, description: str) -> Iterator[slice]:
    """Yield the blocks of rows that are this process's, with a progress bar on the first process.

    Args:
        count: Number of rows.
        description: What is done with them, for the bar.
    """
    blocks = list(_blocks(count, ROWS))[rank() :: world_size()]
    yield from with_progress(blocks, description)


def columns(count: int) -> Iterator[slice]:
    """Yield blocks of columns."""
    yield from _blocks(count, COLUMNS)


def squared_distances(first: Tensor, second: Tensor) -> Tensor:
    """Return |x - y|^2 of all pairs, ``(N, M)``, through a matrix product.

    It loses digits where features are far from 0 against their distances: centre them.

    Args:
        first: ``(N, D)``.
        second: ``(M, D)``.
    """
    squares = torch.addmm(second.square().sum(1), first, second.T, alpha=-2)
    return squares.add_(first.square().sum(1, keepdim=True)).clamp_(min=0)


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Multiply matrices in the precision that they have, whatever the run trains in."""
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(precision)


def _blocks(count: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, count)) for start in range(0, count, size))
