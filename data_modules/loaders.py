"""Loaders, over which a trainer iterates: no ``DataLoader``, in which Lightning would put its own sampler."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader

from data_modules.batches import Batch, to_float
from data_modules.unusable import UnusableImages

# The trainer asks for a batch more than it trains on, and for an iterator at the start of each
# virtual epoch.
_KEPT_BATCHES = 2


class EndlessLoader:
    """The training stream, from wherever training stands when an iterator is asked for.

    Workers and the batches that they have ready are kept from one virtual epoch to the next.
    """

    def __init__(
        self,
        begin: Callable[[int], Iterator[Batch]],
        batch_size: int,
        position: Callable[[], int],
        between: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare to read.

        Args:
            begin: Given a position, returns the batches from there on.
            batch_size: The global one, by which the position grows with each batch.
            position: Says how many images training has seen.
            between: Is called between two epochs.
        """
        self._begin = begin
        self._batch_size = batch_size
        self._position = position
        self._between = between
        self._batches: Iterator[Batch] = iter(())
        self._next: int | None = None
        self._kept: deque[tuple[int, Batch]] = deque(maxlen=_KEPT_BATCHES)

    def __iter__(self) -> Iterator[Batch]:
        self._between()
        position = self._position()
        again = [(start, batch) for start, batch in self._kept if start >= position]
        if position != (again[0][0] if again else self._next):
            again = []
            self._kept.clear()
            self._batches, self._next = self._begin(position), position
        for _, batch in again:
            yield batch
        while self._next is not None:
            batch = next(self._batches)
            self._kept.append((self._next, batch))
            self._next += self._batch_size
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """Return nothing; that it can be asked tells Lightning that the stream can be resumed."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load nothing: where to go on is known from the images seen."""


class PassLoader:
    """One pass over images, as float32; may be iterated again."""

    def __init__(self, loader: DataLoader, unusable: UnusableImages, grey: bool = False) -> None:
        self._loader = loader
        self._unusable = unusable
        self._grey = grey

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[Batch]:
        for fetched in self._loader:
            batch = self._unusable.receive(fetched)
            if len(batch["index"]):
                yield to_float(batch, self._grey)


class NumberLoader:
    """This rank's share of the numbers of images to sample, in batches ``{"index": (n,) int64}``."""

    def __init__(self, batches: list[range]) -> None:
        self._batches = batches

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Batch]:
        return ({"index": torch.arange(batch.start, batch.stop)} for batch in self._batches)


def receive_all(loader: DataLoader, unusable: UnusableImages) -> Iterator[Batch]:
    """Start the workers of a loader, and return its batches, noting what was unusable."""
    return map(unusable.receive, loader)


def receive_stream(
    loader: DataLoader, unusable: UnusableImages, numbers: Iterable[int]
) -> Iterator[Batch]:
    """The same for batches without positions: their first images get the next of ``numbers``."""
    batches = (batch for batch in receive_all(loader, unusable) if len(batch["index"]))
    for batch, first in zip(batches, numbers, strict=False):
        yield {**batch, "index": torch.arange(first, first + len(batch["index"]))}
