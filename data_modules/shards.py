"""Folders of shards as ``prepare`` writes them: random access in an order that reads locally."""

import hashlib
import json
import os
from collections import OrderedDict
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from typing_extensions import override

from data_modules.errors import DataError, UnusableImageError
from data_modules.order import Numbers, Permutation
from data_modules.pictures import read_picture
from data_modules.plain_files import check_plain, open_plain, printable
from data_modules.shard_index import Shard, ShardIndex, Table
from data_modules.source import Sample, Source

_SAMPLE = 4096


class _OpenShard(NamedTuple):
    file: BinaryIO
    table: Table


class _Windows(NamedTuple):
    """How an epoch walks through the shards."""

    shards: Numbers
    """The shards in the order of the epoch."""
    starts: Numbers
    """The place in the epoch where each window starts."""


class Shards(Source):
    """A folder of shards made by ``prepare``.

    The random order of an epoch is a permutation of the shards, cut into windows of a few shards,
    and a permutation of the images within each window: reads stay within a few files, and memory
    does not grow with the number of images.

    Args:
        path: The folder.
        window: How many shards are mixed with each other. More mixes better, fewer reads from fewer
            places.
        upscale: Allow an image size above the one that the shards were prepared with; else that is
            an error.
    """

    def __init__(self, path: Path, window: int = 16, upscale: bool = False) -> None:
        if window < 1:
            raise DataError(f"window must be at least 1 shard, got {window}")
        self.path = Path(path)
        self.window = window
        self.upscale = upscale
        self._held_out = False
        self._limit: int | None = None
        self._windows_of: tuple[int, int, _Windows] | None = None

    @property
    @override
    def title(self) -> str:
        return self.path.stem

    @property
    @override
    def description(self) -> str:
        content = json.dumps([self._index.settings, *map(asdict, self._shards)])
        digest = hashlib.sha256(content.encode())
        for shard in self._shards:
            digest.update(self._sample_of(shard))
        return f"shards {digest.hexdigest()}, {len(self)} images, upscale {self.upscale}"

    @property
    @override
    def folder(self) -> Path:
        return self.path

    @property
    @override
    def class_names(self) -> list[str]:
        return self._index.class_names

    @override
    def __len__(self) -> int:
        images = int(self._starts[-1])
        return images if self._limit is None else min(images, self._limit)

    @override
    def check(self, size: int) -> None:
        prepared = self._index.image_size
        if size > prepared and not self.upscale:
            raise DataError(
                f"image_size must be at most {prepared}, at which {self.path} was prepared, got "
                f"{size}: prepare it again at that size, or set upscale"
            )

    @override
    def read(self, index: int, size: int) -> Sample:
        shard, row = self._find(index)
        opened = self._open(shard)
        offset, length, label = opened.table[row].tolist()
        data = os.pread(opened.file.fileno(), length, offset)
        try:
            return Sample(read_picture(data, "it", size, self.upscale), label)
        except UnusableImageError as error:
            raise UnusableImageError(
                f"{self._name(shard, row)} is damaged ({error}): prepare it again"
            ) from error

    @override
    def name(self, index: int) -> str:
        return self._name(*self._find(index))

    def _name(self, shard: int, row: int) -> str:
        return f"image {row} of {self.path / self._shards[shard].file}"

    @override
    def shuffle(self, places: Numbers, seed: int, epoch: int) -> Numbers:
        if self._limit is not None:
            return super().shuffle(places, seed, epoch)
        windows = self._windows(seed, epoch)
        numbers = np.searchsorted(windows.starts, places, side="right") - 1
        indices = np.empty_like(places)
        for number in np.unique(numbers):
            inside = numbers == number
            shards = windows.shards[number * self.window : (number + 1) * self.window]
            indices[inside] = self._mix(
                shards, places[inside] - windows.starts[number], seed, epoch
            )
        return indices

    @override
    def split(self, held_out: int) -> tuple[Source, Source | None]:
        """Return the parts that were prepared, the second cut to ``held_out`` unless that is 0."""
        prepared = self._index.images(held_out=True)
        if held_out > prepared:
            raise DataError(
                f"held_out must be at most {prepared}, with which {self.path} was prepared, got "
                f"{held_out}: prepare the data again with more held out"
            )
        if prepared == 0:
            return self, None
        part = Shards(self.path, self.window, self.upscale)
        part._held_out, part._limit = True, held_out or prepared
        return self, part

    def _mix(self, shards: Numbers, places: Numbers, seed: int, epoch: int) -> Numbers:
        """Return the images at these places of the random order of a window of shards."""
        sizes = np.diff(self._starts)[shards]
        ends = sizes.cumsum()
        things = Permutation(int(ends[-1]), seed, epoch, int(shards[0]))(places)
        which = np.searchsorted(ends, things, side="right")
        return self._starts[shards[which]] + things - (ends - sizes)[which]

    def _windows(self, seed: int, epoch: int) -> _Windows:
        if self._windows_of is None or self._windows_of[:2] != (seed, epoch):
            shards = Permutation(len(self._shards), seed, epoch)(range(len(self._shards)))
            sizes = np.diff(self._starts)[shards]
            windows = np.add.reduceat(sizes, np.arange(0, len(sizes), self.window))
            self._windows_of = seed, epoch, _Windows(shards, windows.cumsum() - windows)
        return self._windows_of[2]

    @cached_property
    def _opened_shards(self) -> OrderedDict[int, _OpenShard]:
        """The shards used last, the latest at the end."""
        return OrderedDict()

    @cached_property
    def _index(self) -> ShardIndex:
        return ShardIndex.read(self.path)

    @cached_property
    def _shards(self) -> list[Shard]:
        shards = [
            shard
            for shard in self._index.shards
            if shard.held_out == self._held_out and shard.images
        ]
        if not shards:
            raise DataError(
                f"{self.path} has no images to train on: prepare it with fewer held out"
            )
        return shards

    @cached_property
    def _starts(self) -> Numbers:
        """The number of the first image of each shard, and at the end the number of images."""
        return np.cumsum([0, *(shard.images for shard in self._shards)])

    def _find(self, index: int) -> tuple[int, int]:
        shard = int(np.searchsorted(self._starts, index, side="right")) - 1
        return shard, index - int(self._starts[shard])

    def _open(self, number: int) -> _OpenShard:
        opened = self._opened_shards.pop(number, None) or self._open_anew(self._shards[number])
        self._opened_shards[number] = opened
        if len(self._opened_shards) > 2 * self.window:
            self._opened_shards.popitem(last=False)[1].file.close()
        return opened

    def _open_anew(self, shard: Shard) -> _OpenShard:
        table = self._table(shard)
        return _OpenShard(open_plain(self.path / shard.file), table)

    def _table(self, shard: Shard) -> Table:
        path = self.path / shard.table
        check_plain(path)
        try:
            table = np.load(path, mmap_mode="r")
        # EOFError, ValueError, or what the parser of its header raises.
        except Exception as error:
            raise _damaged(path, str(error)) from error
        if table.shape != (shard.images, 3) or table.dtype != np.int64:
            raise _damaged(path, f"it must have {shard.images} rows of 3 whole numbers")
        starts, sizes = table[:, 0], table[:, 1]
        # Compared so that no sum of them can leave 64 bits.
        if (starts < 0).any() or (sizes < 0).any() or (starts > shard.bytes - sizes).any():
            raise _damaged(path, f"it points outside of {shard.file}")
        return table

    def _sample_of(self, shard: Shard) -> bytes:
        """Return what tells a shard from another of the same size: where each image lies, and some pixels.

        Compressed images are hardly ever as long as others; a copy of the folder keeps all of it.
        """
        with open_plain(self.path / shard.file) as file:
            return self._table(shard).tobytes() + os.pread(file.fileno(), _SAMPLE, shard.bytes // 2)


def _damaged(path: Path, reason: str) -> DataError:
    return DataError(
        f"{printable(path)} is damaged ({reason}): prepare the shards again, or copy it again"
    )
