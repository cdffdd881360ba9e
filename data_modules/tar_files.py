"""The files in a tar, one after the other, whole and within bounds."""

import bz2
import gzip
import lzma
import re
import tarfile
from collections.abc import Callable, Iterator
from typing import IO, Any, NamedTuple, Protocol, cast

from data_modules.errors import DataError
from data_modules.plain_files import MOST_BYTES, check_bytes, printable

_END = bytes(1024)
_BLOCK = 512
_CHUNK = 1 << 16
# What headers, padding and what tarfile reads ahead may take: names are long at times, never that long.
_SLACK = 1 << 22
_MAGIC_AT = 257
# The bookkeeping of webdataset itself.
_META = re.compile(r"__[^/]*__($|/)")


class Readable(Protocol):
    """An open file, or what can be read like one."""

    def read(self, size: int, /) -> bytes:
        """Read up to so many bytes; none at the end."""


_COMPRESSED: dict[bytes, Callable[[Any], Readable]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\0": lzma.LZMAFile,
}


class TarFile(NamedTuple):
    """A file in a tar."""

    name: str
    data: bytes | None
    """None where it was not wanted."""


def tar_files(file: Readable, wanted: Callable[[str], int]) -> Iterator[TarFile]:
    """Read a tar from its start to its end, compressed (gzip, bzip2, xz) or not.

    Args:
        file: The tar.
        wanted: Says of a file, by its name, how many of its bytes are wanted at most; 0 for none.

    Raises:
        DataError: If the tar is cut off or damaged, or something in it is larger than pictures are.
        Exception: Of another kind, by the damage.
    """
    watched = _WatchedFile(*_decompressed(file))
    watched.allow_until(0)
    with tarfile.open(fileobj=cast("IO[bytes]", watched), mode="r|", bufsize=_CHUNK) as tar:
        while (info := tar.next()) is not None:
            # Else tarfile remembers every file.
            tar.members = []  # type: ignore[attr-defined]
            watched.check_skipped(info)
            watched.allow_until(tar.offset)
            if info.isreg() and not _META.match(info.name):
                yield TarFile(info.name, _data(tar, info, wanted(info.name)))
        watched.check_end(tar.offset)


def _data(tar: tarfile.TarFile, info: tarfile.TarInfo, most: int) -> bytes | None:
    if not most:
        return None
    check_bytes(info.size, printable(info.name))
    opened = tar.extractfile(info)
    assert opened is not None
    return opened.read(min(info.size, most))


def _decompressed(file: Readable) -> tuple[Readable, bool]:
    """Return a file decompressed, and whether it was compressed."""
    begun = _Begun(file)
    for magic, opened in _COMPRESSED.items():
        if begun.start.startswith(magic):
            return opened(begun), True
    return begun, False


class _Begun:
    """A file whose start was looked at."""

    def __init__(self, file: Readable) -> None:
        self.start = b""
        while len(self.start) < _BLOCK and (data := file.read(_BLOCK - len(self.start))):
            self.start += data
        self._file = file

    def read(self, size: int = -1, /) -> bytes:
        if not self.start:
            return self._file.read(size)
        size = len(self.start) if size < 0 else size
        start, self.start = self.start[:size], self.start[size:]
        return start


class _WatchedFile:
    """Counts what tarfile reads, which takes a damaged header for the end, and headers of any length for good."""

    def __init__(self, file: Readable, compressed: bool) -> None:
        self._file = file
        self._compressed = compressed
        self._count = 0
        self._last = 0
        self._next = 0
        self._plain: bool | None = None

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        if self._plain is None:
            magic = data[_MAGIC_AT : _MAGIC_AT + 5]
            self._plain = magic == b"ustar" and not self._compressed
        content = len(data.rstrip(b"\0"))
        self._last = self._count + content if content else self._last
        self._count += len(data)
        if self._count > self._next + _SLACK:
            raise DataError(f"it has more than {_SLACK:,} bytes of headers or padding in one place")
        # Else tarfile would go on to skip what a damaged header may say are exabytes.
        if not data and self._count < self._next:
            raise DataError("it is cut off, in the middle of a file")
        return data

    def allow_until(self, position: int) -> None:
        """Say where the next header is: reading must come there, and may go a little further."""
        self._next = position

    def check_skipped(self, info: tarfile.TarInfo) -> None:
        """Refuse to decompress what no picture needs: a few bytes may become any number."""
        if self._compressed and info.size > MOST_BYTES:
            check_bytes(info.size, printable(info.name))

    def check_end(self, end: int) -> None:
        """Check that nothing but padding is behind the last file.

        Args:
            end: Where tarfile saw the end.
        """
        self.allow_until(end)
        while self.read(_CHUNK):
            pass
        if self._last > end:
            raise DataError(f"it is damaged, or goes on behind its end, at byte {end:,}")
        if self._plain and self._count < end + len(_END):
            raise DataError("it is cut off: it lacks the end of a tar file")
