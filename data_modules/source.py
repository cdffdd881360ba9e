"""Source of images: their number, and any of them by its number."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor
from typing_extensions import override

from data_modules.errors import DataError
from data_modules.order import Numbers, Permutation

# Apart from the seed of a run: the held-out part must stay the same when a run is repeated with
# another seed.
_SPLIT_KEY = 0x5917


class Sample(NamedTuple):
    """An image and its class."""

    image: Tensor
    """``(C, size, size)``: uint8, which stands for [-1, 1], or float32 in the source's range."""
    label: int = -1
    """-1 where the source has no classes."""


class Source(ABC):
    """A finite collection of images, any of which can be read by number, in any process.

    A source is pickled into each worker process, so it opens files late and keeps no handle in its
    pickle.
    """

    channels: int = 3
    value_range: tuple[float, float] | None = (-1.0, 1.0)
    """The range of the images in a batch, None if unbounded; only [-1, 1] may be read as uint8."""

    @property
    @abstractmethod
    def description(self) -> str:
        """A string that changes whenever any image may have changed, for the keys of caches."""

    @property
    def folder(self) -> Path | None:
        """The folder where the data lies, in which statistics may be kept, or None."""
        return None

    @property
    def title(self) -> str:
        """What the data set is called where nobody has named it."""
        return type(self).__name__.lower()

    @property
    def class_names(self) -> list[str]:
        """The names of the classes in the order of their labels; empty where there are none."""
        return []

    @abstractmethod
    def __len__(self) -> int:
        """Count the images."""

    @abstractmethod
    def read(self, index: int, size: int) -> Sample:
        """Read one image at a size; the same number and size always give the same image.

        Args:
            index: The image's number, in [0, len(self)).
            size: Height and width wanted, in pixels.

        Raises:
            UnusableImageError: If this image is unreadable or too small, while others may be good.
            DataError: If the source as a whole cannot be used.
        """

    def name(self, index: int) -> str:
        """Say which image this is, for messages."""
        return f"image {index}"

    def fetch(self) -> None:  # noqa: B027 (most sources have nothing to download)
        """Download what is missing; called once, in one process, before anything is read."""

    def check(self, size: int) -> None:  # noqa: B027 (most sources can only tell by reading)
        """Raise DataError if no image can be had at this size, before any is read."""

    def resolve(self, indices: Numbers) -> tuple["Source", Numbers]:
        """Return the source that holds these images itself, and their numbers there."""
        return self, indices

    def shuffle(self, places: Numbers, seed: int, epoch: int) -> Numbers:
        """Return the numbers of the images at these places of an epoch's random order."""
        return Permutation(len(self), seed, epoch)(places)

    def split(self, held_out: int) -> tuple["Source", "Source | None"]:
        """Set images aside by random choice, the same choice in every run.

        Args:
            held_out: How many.

        Returns:
            The training part, and the held-out part or None where it is empty.
        """
        if held_out == 0:
            return self, None
        if not 0 < held_out < len(self):
            raise DataError(
                f"held_out must be from 0 to less than the {len(self)} images, got {held_out}"
            )
        return _Part(self, held_out, len(self)), _Part(self, 0, held_out)

    def __getstate__(self) -> dict[str, Any]:
        """Leave handles behind: what attributes called ``_opened...`` hold is opened anew."""
        return {
            name: value for name, value in self.__dict__.items() if not name.startswith("_opened")
        }


class _Part(Source):
    """The images of a source from place ``start`` to ``stop`` of one random order."""

    def __init__(self, source: Source, start: int, stop: int) -> None:
        self._source = source
        self._start = start
        self._stop = stop
        self._order = Permutation(len(source), _SPLIT_KEY)
        self.channels = source.channels
        self.value_range = source.value_range

    @property
    @override
    def description(self) -> str:
        return f"{self._source.description}, places {self._start} to {self._stop} of a random order"

    @property
    @override
    def folder(self) -> Path | None:
        return self._source.folder

    @property
    @override
    def class_names(self) -> list[str]:
        return self._source.class_names

    @override
    def __len__(self) -> int:
        return self._stop - self._start

    @override
    def read(self, index: int, size: int) -> Sample:
        (source, (number,)) = self.resolve(np.array([index]))
        return source.read(int(number), size)

    @override
    def name(self, index: int) -> str:
        (source, (number,)) = self.resolve(np.array([index]))
        return source.name(int(number))

    @override
    def resolve(self, indices: Numbers) -> tuple[Source, Numbers]:
        return self._source.resolve(self._order(self._start + indices))

    @override
    def fetch(self) -> None:
        self._source.fetch()

    @override
    def check(self, size: int) -> None:
        self._source.check(size)
