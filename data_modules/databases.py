"""LMDB databases of images: as the published code reads CelebA-HQ, and LSUN."""

from array import array
from functools import cached_property
from math import isqrt
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from data_modules.errors import DataError
from data_modules.lmdb_file import Extent, LmdbFile
from data_modules.pictures import decode, fit, to_tensor
from data_modules.plain_files import check_bytes, printable
from data_modules.source import Sample, Source

if TYPE_CHECKING:
    from PIL.Image import Image

Places = NDArray[np.int64]

_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF", b"GIF8", b"II*\0", b"MM\0*")


class Lmdb(Source):
    """The images of an LMDB, as the published code reads CelebA-HQ and FFHQ.

    Keys are ``0``, ``1``, ``2`` ... in decimal, or anything else, which is then taken in the order
    of the database. A value is an encoded image (JPEG, PNG, WebP ...), or the raw bytes of a square
    of 8-bit RGB.

    Args:
        path: The folder with ``data.mdb``, or a single database file.
        limit: Take this many images from the start; all when left out.
        upscale: Enlarge images that are smaller than the image size; else such an image is an
            error.
    """

    def __init__(self, path: Path, limit: int | None = None, upscale: bool = False) -> None:
        self.path = Path(path)
        self.limit = limit
        self.upscale = upscale

    @property
    @override
    def title(self) -> str:
        return self.path.stem

    @property
    @override
    def description(self) -> str:
        images = f"{len(self)} images from {self._keys[0]!r}"
        found = _file(self.path).stat()
        stamp = f"{found.st_size} bytes of {found.st_mtime_ns}"
        return f"lmdb of {stamp}, {images}, upscale {self.upscale}"

    @property
    @override
    def folder(self) -> Path:
        return self.path.parent

    @override
    def __len__(self) -> int:
        return len(self._keys)

    @override
    def read(self, index: int, size: int) -> Sample:
        name = self.name(index)
        extent = Extent(*self._entries[1][index].tolist())
        check_bytes(extent.size, name)
        value = self._opened_file.read(extent)
        return Sample(to_tensor(fit(_picture(value, name), name, size, self.upscale)))

    @override
    def name(self, index: int) -> str:
        key = self._keys[index].decode(errors="backslashreplace")
        return f"{printable(key)} in {printable(self.path)}"

    @property
    def _keys(self) -> list[bytes]:
        return self._entries[0]

    @cached_property
    def _entries(self) -> tuple[list[bytes], Places]:
        """Keys, and where their values start and how large they are, in bytes."""
        keys, extents = [], array("q")
        for key, extent in self._opened_file.entries():
            # Databases of torchtoolbox keep their own bookkeeping under names like __len__.
            if not key.startswith(b"__"):
                keys.append(key)
                extents.extend(extent)
        if not keys:
            raise DataError(f"{self.path} holds no images: check the path of the database")
        order = list(range(len(keys)))
        if all(key.isdigit() for key in keys):
            order.sort(key=lambda place: int(keys[place]))
        order = order[: self.limit]
        places = np.frombuffer(extents, dtype=np.int64).reshape(-1, 2)[order]
        return [keys[place] for place in order], places

    @cached_property
    def _opened_file(self) -> LmdbFile:
        if not self.path.exists():
            raise self._missing()
        return LmdbFile(_file(self.path))

    def _missing(self) -> DataError:
        return DataError(f"there is no {self.path}: check the path of the database")


class LSUN(Lmdb):
    """A category of LSUN, from the LMDB that its authors publish.

    Fetch and unpack it first: ``http://dl.yf.io/lsun/scenes/church_outdoor_train_lmdb.zip``.

    Args:
        root: The folder that holds ``<category>_lmdb``.
        category: A category with its part, such as ``church_outdoor_train``.
        limit: Take this many images from the start, 120,000 as published; null for all.
        upscale: Enlarge images that are smaller than the image size; else such an image is an
            error.
    """

    def __init__(
        self,
        root: Path,
        category: str = "church_outdoor_train",
        limit: int | None = 120_000,
        upscale: bool = False,
    ) -> None:
        super().__init__(Path(root) / f"{category}_lmdb", limit, upscale)

    @override
    def _missing(self) -> DataError:
        return DataError(
            f"there is no {self.path}; fetch http://dl.yf.io/lsun/scenes/{self.path.name}.zip "
            f"and unpack it into {self.path.parent}"
        )


def _file(path: Path) -> Path:
    return path / "data.mdb" if path.is_dir() else path


def _picture(value: bytes, name: str) -> "Image":
    from PIL import Image

    raw = _raw_square(value)
    if raw is None:
        return decode(value, name)
    return Image.fromarray(raw)


def _raw_square(value: bytes) -> "np.ndarray | None":
    """Return a raw square RGB image ``(side, side, 3)``, or None if the value is anything else."""
    side = isqrt(len(value) // 3)
    if side == 0 or 3 * side * side != len(value) or value.startswith(_SIGNATURES):
        return None
    return np.frombuffer(value, dtype=np.uint8).reshape(side, side, 3)
