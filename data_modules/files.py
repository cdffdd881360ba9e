"""Picture files in a folder or in a zip."""

import hashlib
import os
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from typing_extensions import override

from data_modules.errors import DataError
from data_modules.pictures import SUFFIXES, read_picture
from data_modules.source import Sample, Source

if TYPE_CHECKING:
    from zipfile import ZipFile


class _File(NamedTuple):
    path: str
    size: int


class _PictureFiles(Source):
    """Picture files with paths, sorted by path; a picture's class is the folder it lies in."""

    def __init__(self, path: Path, upscale: bool = False) -> None:
        self.path = Path(path)
        self.upscale = upscale

    @property
    @override
    def description(self) -> str:
        listing = "\n".join(f"{file.path} {file.size}" for file in self._files)
        return f"pictures {hashlib.sha256(listing.encode()).hexdigest()}, upscale {self.upscale}"

    @property
    @override
    def class_names(self) -> list[str]:
        return self._classes[0]

    @override
    def __len__(self) -> int:
        return len(self._files)

    @override
    def read(self, index: int, size: int) -> Sample:
        data = self._data(self._files[index].path)
        return Sample(
            read_picture(data, self.name(index), size, self.upscale), self._classes[1][index]
        )

    @override
    def name(self, index: int) -> str:
        return str(self.path / self._files[index].path)

    @abstractmethod
    def _list(self) -> Iterator[_File]:
        """List all files."""

    @abstractmethod
    def _data(self, path: str) -> bytes | Path:
        """Read one file, or say where it lies."""

    @cached_property
    def _files(self) -> list[_File]:
        if not self.path.exists():
            raise DataError(f"there is no {self.path}: check the path of the images")
        files = sorted(file for file in self._list() if _is_picture(file.path))
        if not files:
            raise DataError(
                f"{self.path} holds no images (files that end in {' '.join(sorted(SUFFIXES))})"
            )
        return files

    @cached_property
    def _classes(self) -> tuple[list[str], list[int]]:
        return _classes(file.path for file in self._files)


class ImageFolder(_PictureFiles):
    """The pictures in a folder and all folders below it; each of its sub-folders is a class.

    Args:
        path: The folder. Hidden files and folders are left out.
        upscale: Enlarge pictures that are smaller than the image size; else such a picture is an
            error.
    """

    @property
    @override
    def folder(self) -> Path:
        return self.path

    @override
    def _list(self) -> Iterator[_File]:
        if not self.path.is_dir():
            raise DataError(f"{self.path} is not a folder: read a zip with data_modules.ImageZip")
        for folder, _, names in os.walk(self.path, followlinks=True):
            for name in names:
                path = Path(folder, name)
                if _is_picture(name):
                    yield _File(path.relative_to(self.path).as_posix(), path.stat().st_size)

    @override
    def _data(self, path: str) -> Path:
        return self.path / path


class ImageZip(_PictureFiles):
    """The pictures in a zip, read without unpacking it; each of its folders is a class.

    Args:
        path: The zip.
        upscale: Enlarge pictures that are smaller than the image size; else such a picture is an
            error.
    """

    _opened: "tuple[int, ZipFile] | None" = None

    @property
    @override
    def folder(self) -> Path:
        return self.path.parent

    @override
    def _list(self) -> Iterator[_File]:
        for file in self._zip().infolist():
            if not file.is_dir():
                yield _File(file.filename, file.file_size)

    @override
    def _data(self, path: str) -> bytes:
        from zipfile import BadZipFile

        from data_modules.errors import UnusableImageError

        try:
            return self._zip().read(path)
        except (BadZipFile, EOFError, OSError) as error:
            raise UnusableImageError(
                f"{path} in {self.path} cannot be unpacked: {error}"
            ) from error

    def _zip(self) -> "ZipFile":
        from zipfile import BadZipFile, ZipFile

        # A handle that a forked process inherits shares its place in the file with its parent.
        if self._opened is None or self._opened[0] != os.getpid():
            try:
                self._opened = os.getpid(), ZipFile(self.path)
            except BadZipFile as error:
                raise DataError(f"{self.path} is not a complete zip file: {error}") from error
        return self._opened[1]


def _is_picture(path: str) -> bool:
    parts = PurePosixPath(path).parts
    hidden = any(part.startswith((".", "__MACOSX")) for part in parts)
    return not hidden and PurePosixPath(path).suffix.lower() in SUFFIXES


def _classes(paths: Iterable[str]) -> tuple[list[str], list[int]]:
    """Name the classes, and number each path's: its first folder below those that all paths share.

    >>> _classes(["all/cat/1.png", "all/cat/more/2.png", "all/dog/1.png"])
    (['cat', 'dog'], [0, 0, 1])
    """
    folders = [PurePosixPath(path).parts[:-1] for path in paths]
    shared = os.path.commonprefix(folders)  # noqa: RUF071 (of tuples it compares whole names)
    firsts = [parts[len(shared)] if len(parts) > len(shared) else None for parts in folders]
    names = sorted({first for first in firsts if first is not None})
    numbers = {name: number for number, name in enumerate(names)}
    return names, [-1 if first is None else numbers[first] for first in firsts]
