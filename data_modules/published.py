"""CIFAR-10 and STL-10, downloaded by torchvision."""

from abc import abstractmethod
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from typing_extensions import override

from data_modules.errors import DataError
from data_modules.pictures import fit, to_tensor
from data_modules.source import Sample, Source

if TYPE_CHECKING:
    from torchvision import datasets

Pixels = NDArray[np.uint8]


class _Downloaded(Source):
    """A data set that torchvision can download, and whose images lie in one array."""

    def __init__(
        self, root: Path = Path("data"), download: bool = False, upscale: bool = False
    ) -> None:
        self.root = Path(root)
        self.download = download
        self.upscale = upscale

    @property
    @override
    def description(self) -> str:
        return f"{type(self).__name__}, {len(self)} images, upscale {self.upscale}"

    @property
    @override
    def folder(self) -> Path:
        return self.root

    @override
    def read(self, index: int, size: int) -> Sample:
        image = fit(Image.fromarray(self._pixels(index)), self.name(index), size, self.upscale)
        return Sample(to_tensor(image), self._label(index))

    @override
    def name(self, index: int) -> str:
        return f"image {index} of {type(self).__name__}"

    @abstractmethod
    def _pixels(self, index: int) -> Pixels:
        """Return one image, ``(H, W, 3)``."""

    def _label(self, index: int) -> int:
        return -1

    def _missing(self) -> DataError:
        return DataError(
            f"{type(self).__name__} is not in {self.root}, or not whole; set download to fetch it"
        )


class CIFAR10(_Downloaded):
    """The 50,000 training images of CIFAR-10, 32 pixels, ten classes.

    Args:
        root: The folder to keep it in.
        download: Fetch it (170 MB) if it is missing.
        upscale: Enlarge the images when a larger image size is asked for; else that is an error.
    """

    _opened: "datasets.CIFAR10 | None" = None

    @property
    @override
    def class_names(self) -> list[str]:
        return list(self._set().classes)

    @override
    def __len__(self) -> int:
        return len(self._set().targets)

    @override
    def fetch(self) -> None:
        if self.download:
            self._load(download=True)

    @override
    def _pixels(self, index: int) -> Pixels:
        return self._set().data[index]

    @override
    def _label(self, index: int) -> int:
        return self._set().targets[index]

    def _set(self) -> "datasets.CIFAR10":
        if self._opened is None:
            try:
                self._opened = self._load(download=False)
            except RuntimeError as error:
                raise self._missing() from error
        return self._opened

    def _load(self, download: bool) -> "datasets.CIFAR10":
        from torchvision import datasets

        return datasets.CIFAR10(self.root, train=True, download=download)


class STL10(_Downloaded):
    """The 100,000 unlabeled images of STL-10, 96 pixels.

    Args:
        root: The folder to keep it in.
        download: Fetch it (2.6 GB) if it is missing.
        upscale: Enlarge the images when a larger image size is asked for; else that is an error.
    """

    _SIDE = 96

    @override
    def __len__(self) -> int:
        return len(self._opened_array)

    @override
    def fetch(self) -> None:
        if self.download:
            from torchvision import datasets

            datasets.STL10(self.root, split="unlabeled", download=True)

    @override
    def _pixels(self, index: int) -> Pixels:
        # The file holds each channel column by column.
        return np.ascontiguousarray(self._opened_array[index].transpose(2, 1, 0))

    @cached_property
    def _opened_array(self) -> Pixels:
        # Mapped, where torchvision loads 2.7 GB into every worker.
        path = self.root / "stl10_binary" / "unlabeled_X.bin"
        image_bytes = 3 * self._SIDE**2
        if not path.exists() or path.stat().st_size % image_bytes or not path.stat().st_size:
            raise self._missing()
        return np.memmap(path, dtype=np.uint8, mode="r").reshape(-1, 3, self._SIDE, self._SIDE)
