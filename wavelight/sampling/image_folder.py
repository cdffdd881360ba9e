"""A folder of generated images: a file a number, so that an interrupted run goes on where it stopped."""

import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from typing_extensions import override

from wavelight.support.errors import check_least
from wavelight.support.files import draft_of, write_json
from wavelight.support.pictures import (
    PNG_CHANNELS,
    field_limit,
    grid,
    picture_of_field,
    to_uint8,
    write_png,
)
from wavelight.systems import ImageGenerator

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_RECORD = "generated.json"


_PACKED = "images.npz"


_GRID_IMAGES = 64


_GRID_SIDE = 64
"""Smaller images are enlarged to this side, in whole steps."""


class GeneratedFolder(ABC):
    """A folder of generated images, all of one seed and one set of weights.

    Args:
        path: The folder; it need not exist.
        images: How many images it is to hold, numbered from 0.
        seed: The seed of the set of images.
    """

    suffix: str
    """How the name of an image's file ends."""

    def __init__(self, path: Path, images: int, seed: int) -> None:
        if images < 1:
            raise ValueError(f"images must be at least 1, got {images}")
        self.path = Path(path)
        self.images = images
        self.seed = seed

    def missing(self) -> list[int]:
        """Return the numbers of the images that are still to be generated."""
        if (self.path / _PACKED).exists():
            raise ValueError(
                f"{self.path / _PACKED} exists: sample into another folder, or remove it"
            )
        return [number for number in range(self.images) if not self._file(number).exists()]

    def missing_batches(self, size: int) -> list[range]:
        """Return the batches that have images which are still to be generated, whole.

        Batches are cut where they are cut of all images: arithmetic rounds a little otherwise in a batch of
        other images, and so an image is the same to the last bit when a call was interrupted before, or when
        several devices share the batches.

        Args:
            size: Images of a batch; the last may have fewer.
        """
        check_least({"batch_size": (size, 1)})
        first_numbers = dict.fromkeys(number // size * size for number in self.missing())
        return [range(first, min(first + size, self.images)) for first in first_numbers]

    def claim(self, weights: str, first: bool = True) -> None:
        """Note whose images these are, or find that the folder holds others.

        Args:
            weights: The digest of the weights, see :func:`digest`.
            first: Whether this process is the one that writes the note.

        Raises:
            ValueError: If the folder's images are of another seed or other weights, or of unknown
                origin.
        """
        record, path = {"seed": self.seed, "weights": weights}, self.path / _RECORD
        if path.exists():
            if json.loads(path.read_text()) != record:
                raise ValueError(
                    f"{self.path} holds images of another checkpoint or seed: sample into another folder"
                )
            return
        if first:
            if len(self.missing()) < self.images:
                raise ValueError(
                    f"{self.path} holds images of unknown origin: sample into another folder"
                )
            write_json(path, record)

    def write_grid(self) -> Path:
        """Put the first images side by side into one picture, ``grid.png``."""
        pictures = self._pictures(min(self.images, _GRID_IMAGES))
        path = self.path / "grid.png"
        write_png(path, grid(pictures, scale=max(1, _GRID_SIDE // pictures.shape[-1])))
        return path

    def pack(self) -> Path:
        """Put all images into one NPZ file, stacked as ``arr_0``, and remove their own files."""
        import numpy as np

        packed, missing = self.path / _PACKED, self.missing()
        if missing:
            raise ValueError(
                f"{self.path} must have all {self.images} images to pack them, got {self.images - len(missing)}: "
                "where several machines sample, it must be a folder that all of them share"
            )
        images = np.stack([self._read(number) for number in range(self.images)])
        with draft_of(packed) as draft, draft.open("wb") as file:
            np.savez(file, images)
        for number in range(self.images):
            self._file(number).unlink()
        return packed

    @abstractmethod
    def write(self, numbers: list[int], images: Tensor) -> None:
        """Write images ``(N, C, H, W)`` under their numbers."""

    @abstractmethod
    def _read(self, number: int) -> "NDArray[np.generic]":
        """Return what an image's file holds."""

    @abstractmethod
    def _pictures(self, number: int) -> Tensor:
        """Return the first images as pictures, ``(N, 3, height, W)`` uint8."""

    def _file(self, number: int) -> Path:
        return self.path / f"{number:06d}{self.suffix}"


class PictureFolder(GeneratedFolder):
    """A folder of images in [-1, 1] of 1 or 3 channels, each a PNG file.

    Packed they are ``(N, H, W, C)`` uint8, without the last axis where there is one channel.
    """

    suffix = ".png"

    @override
    def write(self, numbers: list[int], images: Tensor) -> None:
        for number, image in zip(numbers, to_uint8(images).cpu(), strict=True):
            write_png(self._file(number), image)

    @override
    def _read(self, number: int) -> "NDArray[np.generic]":
        import numpy as np
        from PIL import Image

        return np.asarray(Image.open(self._file(number)))

    @override
    def _pictures(self, number: int) -> Tensor:
        images = torch.stack([torch.from_numpy(self._read(i).copy()) for i in range(number)])
        if images.ndim == 3:
            images = images.unsqueeze(-1).expand(-1, -1, -1, 3)
        return images.permute(0, 3, 1, 2)


class FieldFolder(GeneratedFolder):
    """A folder of what PNG cannot hold, such as fields without bounds: each an NPY file, float32 ``(C, H, W)``.

    Packed they are ``(N, C, H, W)`` float32. In the grid, colours end at the magnitude that 99.5 %
    of the values in it do not exceed.
    """

    suffix = ".npy"

    @override
    def write(self, numbers: list[int], images: Tensor) -> None:
        import numpy as np

        for number, image in zip(numbers, images.float().cpu(), strict=True):
            # As PNG files: half a file must not count as finished.
            with draft_of(self._file(number)) as draft, draft.open("wb") as file:
                np.save(file, image.numpy())

    @override
    def _read(self, number: int) -> "NDArray[np.generic]":
        import numpy as np

        return np.load(self._file(number))

    @override
    def _pictures(self, number: int) -> Tensor:
        fields = torch.stack([torch.from_numpy(self._read(i)) for i in range(number)])
        return picture_of_field(fields / field_limit(fields))


def image_folder(system: ImageGenerator, path: Path, images: int, seed: int) -> GeneratedFolder:
    """Return a folder for what a system samples, pictures or fields.

    Args:
        system: The system that samples.
        path: The folder; it need not exist.
        images: How many images it is to hold.
        seed: The seed of the set of images.

    Raises:
        ValueError: If there are no images.
    """
    pictures = system.bounded and system.channels in PNG_CHANNELS
    return (PictureFolder if pictures else FieldFolder)(path, images, seed)
