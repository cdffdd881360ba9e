"""Picture files in a folder or in a zip."""

import hashlib
import os
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from typing_extensions import override

from data_modules.errors import DataError, UnusableImageError
from data_modules.folders import walk
from data_modules.pictures import SUFFIXES, read_picture
from data_modules.plain_files import check_bytes, check_plain, printable, read_plain
from data_modules.source import Sample, Source

if TYPE_CHECKING:
    from zipfile import ZipFile, ZipInfo


class _File(NamedTuple):
    path: str
    stamp: tuple[int, ...]
    """Numbers that change with the content: bytes, and the time of change or a checksum."""


class _PictureFiles(Source):
    """Picture files with paths, sorted by path; a picture's class is the folder it lies in."""

    def __init__(self, path: Path, upscale: bool = False) -> None:
        self.path = Path(path)
        self.upscale = upscale

    @property
    @override
    def title(self) -> str:
        return self.path.stem

    @property
    @override
    def description(self) -> str:
        listing = repr([(file.path, *file.stamp) for file in self._files])
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
        return printable(self.path / self._files[index].path)

    @abstractmethod
    def _list(self) -> Iterator[_File]:
        """List all files."""

    @abstractmethod
    def _data(self, path: str) -> bytes:
        """Read one file.

        Raises:
            UnusableImageError: If it cannot be read.
        """

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
        for path in walk(self.path):
            if _is_picture(path.name):
                yield _File(path.relative_to(self.path).as_posix(), _stamp(path))

    @override
    def _data(self, path: str) -> bytes:
        try:
            return read_plain(self.path / path)
        except DataError as error:
            raise UnusableImageError(str(error)) from error


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
        everything = self._zip().infolist()
        files = [file for file in everything if _is_picture(file.filename) and not file.is_dir()]
        _check_readable(files, printable(self.path))
        for file in files:
            yield _File(file.filename, (file.file_size, file.CRC))

    @override
    def _data(self, path: str) -> bytes:
        name = f"{printable(path)} in {printable(self.path)}"
        archive = self._zip()
        try:
            file = archive.getinfo(path)
            check_bytes(file.file_size, name)
            # Not read to its end: what a file says of its size may be less than comes out of it.
            with archive.open(file) as opened:
                return opened.read(file.file_size)
        except DataError as error:
            raise UnusableImageError(str(error)) from error
        # By the fault: BadZipFile, RuntimeError (a password), NotImplementedError (a compression
        # that Python lacks), OSError, EOFError, zlib.error, LZMAError ...
        except Exception as error:
            raise UnusableImageError(f"{name} cannot be unpacked: {error}") from error

    def _zip(self) -> "ZipFile":
        # A handle that a forked process inherits shares its place in the file with its parent.
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = os.getpid(), _open_zip(self.path)
        return self._opened[1]


def _open_zip(path: Path) -> "ZipFile":
    from zipfile import ZipFile

    check_plain(path)
    try:
        return ZipFile(path)
    # BadZipFile, NotImplementedError, struct.error, UnicodeDecodeError ...
    except Exception as error:
        raise DataError(f"{printable(path)} is not a complete zip file: {error}") from error


def _check_readable(files: "list[ZipInfo]", name: str) -> None:
    """Raise DataError if no picture of a zip can be unpacked; one of many is left to be reported."""
    import zipfile

    methods = ("ZIP_STORED", "ZIP_DEFLATED", "ZIP_BZIP2", "ZIP_LZMA", "ZIP_ZSTANDARD")
    known = {getattr(zipfile, method, None) for method in methods}
    if files and all(file.flag_bits & 1 for file in files):
        raise DataError(f"{name} is locked by a password: unpack it, and name the folder")
    if files and not any(file.compress_type in known for file in files):
        raise DataError(
            f"{name} is compressed by method {files[0].compress_type}, which Python lacks: unpack it, "
            "and name the folder"
        )


def _stamp(path: Path) -> tuple[int, ...]:
    """Return bytes and time of change; nothing of a link that leads nowhere, which stays listed to be reported."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_size, found.st_mtime_ns


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
