"""Sets of images in files of any model or data set, all of one size."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
import torch
from typing_extensions import override

from data_modules import DataError, ImageFolder, ImageZip, Shards
from data_modules.shard_index import NAME as SHARD_INDEX
from data_modules.source import Sample, Source

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PACKED = "images.npz"
_GRID = "grid.png"
"""What `wavelight sample` puts beside the images, or in their place."""

_STACK = "arr_0"
_STATISTICS = {"mu", "sigma"}


def open_images(path: Path) -> Source:
    """Return the images of a folder of pictures or of shards, of a zip of pictures, or of an NPZ file.

    Raises:
        DataError: If there are none.
    """
    path = Path(path)
    if path.is_dir():
        if (path / SHARD_INDEX).is_file():
            return Shards(path)
        return PackedImages(path / _PACKED) if (path / _PACKED).is_file() else ImageFolder(path)
    return PackedImages(path) if path.suffix == ".npz" else ImageZip(path)


def holds_statistics(path: Path) -> bool:
    """Say whether a file holds statistics in place of images; an NPZ with both, as ADM's, counts as statistics."""
    path = Path(path)
    return path.suffix == ".npy" or (path.suffix == ".npz" and _names(path) >= _STATISTICS)


class PackedImages(Source):
    """Images stacked in an NPZ file as ``arr_0``, ``(N, H, W, 3)`` or ``(N, H, W)`` uint8, all held in memory.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    @property
    @override
    def description(self) -> str:
        found = self.path.stat()
        return f"{self.path.resolve()}, {found.st_size} bytes of {found.st_mtime_ns}"

    @property
    @override
    def folder(self) -> Path:
        return self.path.parent

    @override
    def __len__(self) -> int:
        return len(self._opened_images)

    @override
    def own_size(self, index: int) -> tuple[int, int]:
        return self._opened_images.shape[2], self._opened_images.shape[1]

    @override
    def read(self, index: int, size: int) -> Sample:
        if self.own_size(index) != (size, size):
            raise DataError(
                f"{self.name(index)} must have {size}x{size} pixels, got {_by(self.own_size(index))}: images of an NPZ "
                "file are not resized; give a folder or a zip"
            )
        image = torch.from_numpy(self._opened_images[index]).movedim(-1, 0)
        return Sample(image.expand(3, -1, -1).contiguous())

    @override
    def name(self, index: int) -> str:
        return f"image {index} of {self.path}"

    @cached_property
    def _opened_images(self) -> "NDArray[np.uint8]":
        if _STACK not in _names(self.path):
            raise DataError(
                f"{self.path} must hold images as {_STACK}, got {', '.join(sorted(_names(self.path))) or 'nothing'}"
            )
        with _read_archive(self.path) as archive:
            images = archive[_STACK]
        if images.ndim == 3:
            images = images[..., None]
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3):
            raise DataError(
                f"{self.path} must hold uint8 images (N, H, W, 3) or (N, H, W), got {images.dtype} of {images.shape}"
            )
        return images


class SameSize(Source):
    """Images of a source of which each must have one size; others are refused rather than resized.

    Args:
        source: The source.
        advice: What to do about an image of another size.
    """

    def __init__(self, source: Source, advice: str) -> None:
        self._source = source
        self._advice = advice
        self.channels = source.channels
        self.value_range = source.value_range

    @property
    @override
    def description(self) -> str:
        return f"{self._source.description}, of one size"

    @property
    @override
    def folder(self) -> Path | None:
        return self._source.folder

    @override
    def __len__(self) -> int:
        return len(self._numbers)

    @override
    def own_size(self, index: int) -> tuple[int, int] | None:
        return self._source.own_size(self._numbers[index])

    @override
    def read(self, index: int, size: int) -> Sample:
        found = self.own_size(index)
        if found not in (None, (size, size)):
            raise DataError(
                f"{self.name(index)} must have {size}x{size} pixels as all others, got {_by(found)}: {self._advice}"
            )
        return self._source.read(self._numbers[index], size)

    @override
    def name(self, index: int) -> str:
        return self._source.name(self._numbers[index])

    @cached_property
    def _numbers(self) -> list[int]:
        names = (Path(self._source.name(index)).name for index in range(len(self._source)))
        return [index for index, name in enumerate(names) if name != _GRID]


def side_of(source: Source) -> int:
    """Return the side in pixels of a source's first image, which must be square.

    Raises:
        DataError: If it is not, or there is no image.
    """
    if not len(source):
        raise DataError("there are no images to measure: name a folder that holds some")
    size = source.own_size(0)
    if size is None or size[0] != size[1]:
        raise DataError(f"{source.name(0)} must be square to be measured, got {_by(size)}")
    return size[0]


def _names(path: Path) -> set[str]:
    if not path.is_file():
        raise DataError(f"there is no {path}: check the path of the images")
    with _read_archive(path) as archive:
        return set(archive.files)


@contextmanager
def _read_archive(path: Path) -> Iterator[Any]:
    """Open an NPZ file; what is damaged in it is one sentence, also while it is read."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            yield archive
    # A single array is no context.
    except (ValueError, OSError, EOFError, TypeError, BadZipFile) as error:
        raise DataError(f"{path} is not a complete NPZ file: {error}") from error


def _by(size: tuple[int, int] | None) -> str:
    return "an unknown size" if size is None else f"{size[0]}x{size[1]}"
