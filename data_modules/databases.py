"""LMDB databases of images: as the published code reads CelebA-HQ, and LSUN."""

import os
from functools import cached_property
from math import isqrt
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import override

from data_modules.errors import DataError
from data_modules.pictures import decode, fit, to_tensor
from data_modules.plain_files import check_bytes, check_plain, printable
from data_modules.source import Sample, Source

if TYPE_CHECKING:
    from lmdb import Environment
    from PIL.Image import Image

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
        value = self._value(self._keys[index], name)
        return Sample(to_tensor(fit(_picture(value, name), name, size, self.upscale)))

    def _value(self, key: bytes, name: str) -> bytes:
        from lmdb import Error

        try:
            # A view, and no copy yet, of what a damaged database may say is larger than its file.
            with self._environment().begin(buffers=True) as transaction:
                value = transaction.get(key)
                if value is not None:
                    check_bytes(len(value), name)
                    return bytes(value)
        except Error as error:
            raise DataError(f"{name} cannot be read: {error}; fetch the database again") from error
        raise DataError(f"{name} is missing: the database is incomplete, fetch it again")

    @override
    def name(self, index: int) -> str:
        key = self._keys[index].decode(errors="backslashreplace")
        return f"{printable(key)} in {printable(self.path)}"

    @cached_property
    def _keys(self) -> list[bytes]:
        # Databases of torchtoolbox keep their own bookkeeping under names like __len__.
        keys = [key for key in self._scan() if not key.startswith(b"__")]
        if not keys:
            raise DataError(f"{self.path} holds no images: check the path of the database")
        if all(key.isdigit() for key in keys):
            keys.sort(key=int)
        return keys[: self.limit]

    def _scan(self) -> list[bytes]:
        from lmdb import Error

        try:
            with self._environment().begin(buffers=True) as transaction:
                sizes = {bytes(key): len(value) for key, value in transaction.cursor()}
        except Error as error:
            raise _damaged(self.path, str(error)) from error
        # To read a value behind the end of the file would end the process.
        found, size = sum(sizes.values()), _file(self.path).stat().st_size
        if found > size:
            raise _damaged(self.path, f"it says to hold {found:,} bytes and has {size:,}")
        return list(sizes)

    def _environment(self) -> "Environment":
        if not self.path.exists():
            raise DataError(f"there is no {self.path}: check the path of the database")
        return _open(self.path.resolve())


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
    def _environment(self) -> "Environment":
        if not self.path.exists():
            raise DataError(
                f"there is no {self.path}; fetch http://dl.yf.io/lsun/scenes/{self.path.name}.zip "
                f"and unpack it into {self.path.parent}"
            )
        return super()._environment()


# LMDB wants a database opened once in a process, however many sources read it.
_environments: dict[Path, tuple[int, "Environment"]] = {}


def _open(path: Path) -> "Environment":
    """Open a database in this process, unless it is open."""
    import lmdb

    process, environment = _environments.get(path, (None, None))
    if environment is not None and process == os.getpid():
        return environment
    if environment is not None:
        # Inherited by a fork, where LMDB forbids to use it, and py-lmdb to open the path beside it.
        environment.close()
    size = check_plain(_file(path)).st_size
    try:
        environment = lmdb.open(
            str(path), subdir=path.is_dir(), readonly=True, lock=False, readahead=False
        )
        _check_whole(environment, path, size)
    except lmdb.Error as error:
        raise DataError(f"{printable(path)} cannot be read as an LMDB: {error}") from error
    _environments[path] = os.getpid(), environment
    return environment


def _file(path: Path) -> Path:
    return path / "data.mdb" if path.is_dir() else path


def _check_whole(environment: "Environment", path: Path, size: int) -> None:
    # LMDB maps the file, and a process that reads a map behind the file's end is killed (SIGBUS).
    expected = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
    if size < expected:
        environment.close()
        raise DataError(
            f"{printable(_file(path))} is cut off: it must have {expected:,} bytes, got {size:,}; fetch it again"
        )


def _damaged(path: Path, reason: str) -> DataError:
    return DataError(f"{printable(_file(path))} is damaged ({reason}): fetch it again")


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
