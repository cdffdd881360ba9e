"""Plain files, as against pipes, devices and links to nothing: read without waiting, and within bounds."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from data_modules.errors import DataError

MOST_BYTES = 2**28
"""The most that the file of one picture may have: 256 MiB, of an image Pillow would refuse anyway."""


def printable(name: str | Path) -> str:
    r"""Write a name on one line, and in characters that any file and terminal takes.

    >>> printable("a\nb\udcff.png")
    'a\\nb\\xff.png'
    """
    characters = os.fsencode(str(name)).decode(errors="backslashreplace")
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode()
        for each in characters
    )


def check_plain(path: Path) -> os.stat_result:
    """Return what the file system knows of a file.

    Raises:
        DataError: If there is none, or it is a pipe, a socket, a device or a folder, from which
            reading might never end.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    if not stat.S_ISREG(found.st_mode):
        raise DataError(f"{printable(path)} must be a file, got {_kind(found.st_mode)}: remove it")
    return found


def open_plain(path: Path) -> BinaryIO:
    """Open a file to read, without waiting for whoever writes into a pipe.

    Raises:
        DataError: If it is no plain file, or cannot be opened.
    """
    check_plain(path)
    try:
        # Should it become a pipe at this moment, reading ends at once.
        return os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    except OSError as error:
        raise _unreadable(path, error) from error


def read_plain(path: Path) -> bytes:
    """Read a file whole.

    Raises:
        DataError: If it is no plain file, cannot be read, or has more than :data:`MOST_BYTES`.
    """
    with open_plain(path) as file:
        size = os.fstat(file.fileno()).st_size
        check_bytes(size, printable(path))
        try:
            return file.read(size)
        except OSError as error:
            raise _unreadable(path, error) from error


def check_bytes(size: int, name: str) -> None:
    """Raise DataError if a picture's file is larger than any picture.

    Args:
        size: In bytes.
        name: The file's name in the message.
    """
    if size > MOST_BYTES:
        raise DataError(
            f"{name} must have at most {MOST_BYTES:,} bytes, got {size:,}: it is no picture to train on"
        )


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(f"{printable(path)} cannot be read: {error.strerror}")


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    return kinds.get(stat.S_IFMT(mode), "something else")
