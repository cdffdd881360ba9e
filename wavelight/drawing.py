"""Drawn images in a folder: a file a number, so that an interrupted run goes on where it stopped."""

import hashlib
import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from typing_extensions import override

from wavelight.devices import find_device
from wavelight.drafts import draft_of
from wavelight.metrics.base import to_uint8
from wavelight.pictures import PNG_CHANNELS, field_limit, grid, picture_of_field, write_png
from wavelight.systems import ImageGenerator

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_RECORD = "drawn.json"
_PACKED = "images.npz"
_GRID_IMAGES = 64
_GRID_SIDE = 64
"""Smaller images are enlarged to this side, in whole steps."""


class ImageFolder(ABC):
    """A folder of drawn images, all of one seed and one set of weights.

    Args:
        path: The folder; it need not exist.
        images: How many images it is to hold, numbered from 0.
        seed: The seed of the set of images.
    """

    suffix: str
    """How the name of an image's file ends."""

    def __init__(self, path: Path, images: int, seed: int) -> None:
        if images < 1:
            raise ValueError(f"the number of images to draw is at least 1, not {images}")
        self.path = Path(path)
        self.images = images
        self.seed = seed

    def missing(self) -> list[int]:
        """Return the numbers of the images that are still to be drawn."""
        if (self.path / _PACKED).exists():
            raise ValueError(
                f"{self.path / _PACKED} exists; draw into another folder, or remove it"
            )
        return [number for number in range(self.images) if not self._file(number).exists()]

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
                    f"{self.path} holds images of another checkpoint or seed; draw into another folder"
                )
            return
        if first:
            if self._file(0).exists():
                raise ValueError(
                    f"{self.path} holds images of unknown origin; draw into another folder"
                )
            self.path.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(record))

    def draw_grid(self) -> Path:
        """Put the first images side by side into one picture, ``grid.png``."""
        pictures = self._pictures(min(self.images, _GRID_IMAGES))
        path = self.path / "grid.png"
        write_png(path, grid(pictures, scale=max(1, _GRID_SIDE // pictures.shape[-1])))
        return path

    def pack(self) -> Path:
        """Put all images into one NPZ file, stacked as ``arr_0``, and remove their own files."""
        import numpy as np

        packed = self.path / _PACKED
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


class PictureFolder(ImageFolder):
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


class FieldFolder(ImageFolder):
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


def image_folder(system: ImageGenerator, path: Path, images: int, seed: int) -> ImageFolder:
    """Return a folder for what a system draws, pictures or fields.

    Args:
        system: What draws.
        path: The folder; it need not exist.
        images: How many images it is to hold.
        seed: The seed of the set of images.

    Raises:
        ValueError: If there are no images.
    """
    pictures = system.bounded and system.channels in PNG_CHANNELS
    return (PictureFolder if pictures else FieldFolder)(path, images, seed)


def digest(system: ImageGenerator) -> str:
    """Return a short text that tells one set of sampling weights from another."""
    hasher = hashlib.sha256()
    for part in system.sampling_parts().values():
        for name, tensor in part.state_dict().items():
            hasher.update(name.encode())
            hasher.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    return hasher.hexdigest()[:16]


def sample(
    checkpoint: Path,
    out: Path,
    images: int = 64,
    seed: int = 0,
    raw: bool = False,
    batch_size: int = 64,
    device: str | None = None,
    npz: bool = False,
    with_grid: bool = False,
    compiled: bool = False,
) -> None:
    """Draw images from a checkpoint into a folder; no configuration and no data are needed.

    A PNG file an image; of fields without bounds, an NPY file of float32 ``(C, H, W)``.

    Args:
        checkpoint: A checkpoint of a run, or a generator that was exported.
        out: The folder. Images that an interrupted run has finished are not drawn again.
        images: How many images.
        seed: The seed of the set of images; image i of a seed is the same however many are drawn.
        raw: Whether the weights that were learning are used, in place of their average.
        batch_size: How many images are drawn at once.
        device: Where to draw: cpu, cuda, cuda:1, mps; none takes a GPU if there is one.
        npz: Whether one file ``images.npz`` is left in the folder, in place of a file an image:
            ``arr_0``, ``(N, H, W, C)`` uint8, or of fields ``(N, C, H, W)`` float32.
        with_grid: Whether the first 64 images, side by side, are left in the folder as
            ``grid.png``, too; fields in false colours, blue below 0 and red above.
        compiled: Whether the networks are compiled first, which takes a minute and pays for
            thousands of images.
    """
    from rich.progress import track

    from wavelight.checkpoints import load

    system = load(checkpoint, averaged=not raw)
    folder = image_folder(system, out, images, seed)
    numbers = folder.missing()
    system.to(find_device(device))
    folder.claim(digest(system))
    if compiled:
        system.compile_for_drawing()
    if numbers:
        for batch in track(torch.tensor(numbers).split(batch_size), f"Drawing into {out}"):
            # A batch of another size would compile anew; images do not depend on their neighbours.
            missing = batch_size - len(batch) if compiled else 0
            drawn = system.draw(torch.cat([batch, batch[-1:].expand(missing)]), seed)
            folder.write(batch.tolist(), drawn[: len(batch)])
    if with_grid:
        folder.draw_grid()
    if npz:
        folder.pack()
