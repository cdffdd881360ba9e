"""Drawn images in a folder: one PNG a number, so that an interrupted run goes on where it stopped."""

import hashlib
import json
from pathlib import Path

import torch
from torch import Tensor

from wavelight.metrics.base import to_uint8
from wavelight.pictures import grid, write_png
from wavelight.systems import ImageGenerator

_RECORD = "drawn.json"
_PACKED = "images.npz"
_GRID_IMAGES = 64
_GRID_SIDE = 64
"""Smaller images are enlarged to this side, in whole steps."""


class ImageFolder:
    """A folder of drawn images, all of one seed and one set of weights.

    Args:
        path: The folder; it need not exist.
        images: How many images it is to hold, numbered from 0.
        seed: The seed of the set of images.
    """

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

    def write(self, numbers: list[int], images: Tensor) -> None:
        """Write images ``(N, C, H, W)`` in [-1, 1] under their numbers."""
        for number, image in zip(numbers, to_uint8(images).cpu(), strict=True):
            write_png(self._file(number), image)

    def draw_grid(self) -> Path:
        """Put the first images side by side into one picture."""
        import numpy as np
        from PIL import Image

        files = [self._file(number) for number in range(min(self.images, _GRID_IMAGES))]
        images = torch.stack(
            [torch.from_numpy(np.array(Image.open(file).convert("RGB"))) for file in files]
        )
        path = self.path / "grid.png"
        write_png(
            path, grid(images.permute(0, 3, 1, 2), scale=max(1, _GRID_SIDE // images.shape[1]))
        )
        return path

    def pack(self) -> Path:
        """Put all images into one NPZ file, ``arr_0`` of ``(N, H, W, C)`` uint8, and remove the PNG files."""
        import numpy as np
        from PIL import Image

        files = [self._file(number) for number in range(self.images)]
        packed, temporary = self.path / _PACKED, self.path / "images.part.npz"
        np.savez(temporary, np.stack([np.asarray(Image.open(file)) for file in files]))
        temporary.replace(packed)
        for file in files:
            file.unlink()
        return packed

    def _file(self, number: int) -> Path:
        return self.path / f"{number:06d}.png"


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

    Args:
        checkpoint: A checkpoint of a run, or a generator that was exported.
        out: The folder. Images that an interrupted run has finished are not drawn again.
        images: How many images.
        seed: The seed of the set of images; image i of a seed is the same however many are drawn.
        raw: Whether the weights that were learning are used, in place of their average.
        batch_size: How many images are drawn at once.
        device: Where to draw: cpu, cuda, cuda:1, mps; none takes a GPU if there is one.
        npz: Whether one file ``images.npz`` is left in the folder, in place of a PNG file an image.
        with_grid: Whether the first 64 images, side by side, are left in the folder as
            ``grid.png``, too.
        compiled: Whether the networks are compiled first, which takes a minute and pays for
            thousands of images.
    """
    from rich.progress import track

    from wavelight.checkpoints import load

    folder = ImageFolder(out, images, seed)
    numbers = folder.missing()
    if device is None:
        accelerator = torch.accelerator.current_accelerator(check_available=True)
        device = "cpu" if accelerator is None else str(accelerator)
    system = load(checkpoint, averaged=not raw).to(device)
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
