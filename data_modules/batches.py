"""Batches of a source: of its endless training stream, and of one pass over its images."""

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from data_modules.errors import DataError, UnusableImageError
from data_modules.order import Numbers, Permutation, hash_numbers
from data_modules.reading import read_sample
from data_modules.source import Sample, Source
from data_modules.unusable import check_count

Batch: TypeAlias = dict[str, Tensor]
"""``image`` ``(N, C, H, W)``, ``index`` ``(N,)`` int64, ``label`` ``(N,)`` int64."""

_FLIP_KEY = 0xF11B
_REFERENCE_KEY = 0x4EF5


class Fetched(NamedTuple):
    """A batch as it leaves a worker; of what it had to leave out, the names and what was wrong."""

    batch: Batch
    unusable: dict[str, str]
    """Images."""

    lost: dict[str, str]
    """Shards."""


class GlobalBatches(Sampler[range]):
    """The positions of one rank's slice of each global batch, from ``start`` on, without end."""

    def __init__(self, batch_size: int, rank: int, ranks: int) -> None:
        self.batch_size = batch_size
        self.start = 0
        self._slice = range(rank * batch_size // ranks, (rank + 1) * batch_size // ranks)

    def __iter__(self) -> Iterator[range]:
        position = self.start
        while True:
            yield range(position + self._slice.start, position + self._slice.stop)
            position += self.batch_size


class TrainingStream(Dataset[Fetched | DataError]):
    """The endless training images: order and flips are a function of seed and position alone."""

    def __init__(
        self, source: Source, size: int, seed: int, flip: bool, max_unreadable: int
    ) -> None:
        self._source = source
        self._size = size
        self._seed = seed
        self._flip = flip
        self._max_unreadable = max_unreadable

    def __getitem__(self, positions: range) -> Fetched | DataError:
        """Read the images at some positions; errors are returned, as workers garble raised ones."""
        places = np.asarray(positions, dtype=np.int64)
        unusable: dict[str, str] = {}
        try:
            samples = self._read(self._numbers(places), unusable)
        except DataError as error:
            return error
        return Fetched(collate(samples, places, self._flips(places)), unusable, {})

    def _numbers(self, positions: Numbers) -> Numbers:
        epochs, places = np.divmod(positions, len(self._source))
        numbers = np.empty_like(positions)
        for epoch in np.unique(epochs):
            inside = epochs == epoch
            numbers[inside] = self._source.shuffle(places[inside], self._seed, int(epoch))
        return numbers

    def _flips(self, positions: Numbers) -> list[bool]:
        if not self._flip:
            return [False] * len(positions)
        return [bool(bits & 1) for bits in hash_numbers(positions, self._seed, _FLIP_KEY).tolist()]

    def _read(self, numbers: Numbers, unusable: dict[str, str]) -> list[Sample]:
        samples = []
        source, inner_numbers = self._source.resolve(numbers)
        for number, inner in zip(numbers.tolist(), inner_numbers.tolist(), strict=True):
            try:
                samples.append(read_sample(source, inner, self._size))
            except UnusableImageError as error:
                self._note(number, error, unusable)
                samples.append(self._replace(number, unusable))
        return samples

    def _replace(self, number: int, unusable: dict[str, str]) -> Sample:
        """Read the next image that is usable, which is the same one in whatever process."""
        for step in range(1, len(self._source)):
            candidate = (number + step) % len(self._source)
            try:
                return read_sample(self._source, candidate, self._size)
            except UnusableImageError as error:
                self._note(candidate, error, unusable)
        raise DataError("none of the images can be used; " + unusable[self._source.name(number)])

    def _note(self, number: int, error: UnusableImageError, unusable: dict[str, str]) -> None:
        unusable[self._source.name(number)] = str(error)
        check_count(len(unusable), self._max_unreadable, str(error))


class OnePass(Dataset[Fetched | DataError]):
    """Images of a source, each once: all in its own order, or the first of one random order."""

    def __init__(self, source: Source, size: int, images: int | None) -> None:
        self._source = source
        self._size = size
        self._random = images is not None
        self.images = len(source) if images is None else min(images, len(source))

    def __getitem__(self, places: range) -> Fetched | DataError:
        """Read the images at some places, leaving out what is unusable."""
        samples: list[Sample] = []
        kept: list[int] = []
        unusable: dict[str, str] = {}
        source, numbers = self._source.resolve(self._numbers(places))
        for place, number in zip(places, numbers.tolist(), strict=True):
            try:
                samples.append(read_sample(source, number, self._size))
                kept.append(place)
            except UnusableImageError as error:
                unusable[source.name(number)] = str(error)
            except DataError as error:
                return error
        return Fetched(collate(samples, np.array(kept, dtype=np.int64)), unusable, {})

    def _numbers(self, places: range) -> Numbers:
        if not self._random:
            return np.asarray(places, dtype=np.int64)
        return Permutation(len(self._source), _REFERENCE_KEY)(places)


def share(count: int, rank: int, ranks: int) -> range:
    """Return this rank's share of ``range(count)``: one piece, as long on all ranks to within 1.

    >>> [list(share(5, rank, 2)) for rank in range(2)]
    [[0, 1], [2, 3, 4]]
    """
    return range(rank * count // ranks, (rank + 1) * count // ranks)


def cut(numbers: range, batch_size: int) -> list[range]:
    """Cut a range into batches, the last of which may be smaller."""
    return [numbers[start : start + batch_size] for start in range(0, len(numbers), batch_size)]


def collate(samples: list[Sample], index: Numbers, flips: list[bool] | None = None) -> Batch:
    """Put images into one tensor of their own type, mirrored where ``flips`` says so."""
    if not samples:
        return {"index": torch.from_numpy(index)}
    images = torch.empty((len(samples), *samples[0].image.shape), dtype=samples[0].image.dtype)
    for row, sample in enumerate(samples):
        images[row] = sample.image.flip(-1) if flips and flips[row] else sample.image
    labels = torch.tensor([sample.label for sample in samples])
    return {"image": images, "index": torch.from_numpy(index), "label": labels}


LUMA = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in the luma of ITU-R BT.601."""


def to_float(batch: Batch, grey: bool = False) -> Batch:
    """Bring 8-bit images from [0, 255] to float32 in [-1, 1]; others stay as they are.

    Args:
        batch: Images of 3 channels, where ``grey`` is true.
        grey: Whether colours become the luma of ITU-R BT.601, one channel.
    """
    image = batch.get("image")
    if image is None or image.dtype != torch.uint8:
        return batch
    image = image.float().div_(127.5).sub_(1)
    if grey:
        image = torch.einsum("nchw,c->nhw", image, image.new_tensor(LUMA)).unsqueeze(1)
    return {**batch, "image": image}
