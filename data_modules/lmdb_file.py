"""LMDB files, read within their bounds: the library maps them, where a damaged one ends the whole process."""

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from data_modules.errors import DataError
from data_modules.plain_files import check_plain, open_plain, printable

# The format of LMDB 0.9 on machines of 64 bits, little end first; its only one in wide use.
_HEADER = struct.Struct("<QHHHH")
_META = struct.Struct("<II16x I44x 40xQ QQ")
_NODE = struct.Struct("<HHHH")
_NUMBER = 8
_MAGIC, _VERSION = 0xBEEFC0DE, 1
_BRANCH, _LEAF, _IS_META = 1, 2, 8
_KINDS = 0x2F
_ON_PAGES_OF_ITS_OWN = 1
_NO_ROOT = 2**64 - 1
_LEAST_PAGE, _LARGEST_PAGE = 512, 65536


class Extent(NamedTuple):
    """Where a value lies in the file, in bytes."""

    start: int
    size: int


class _Meta(NamedTuple):
    """The state of a database after a transaction."""

    page_size: int
    root: int
    transaction: int


class _Node(NamedTuple):
    """An entry of a page: of a leaf a value with its key, of a branch the page of further ones."""

    key: bytes
    flags: int
    low: int
    high: int
    start: int
    """Where what is behind the key begins, in the file."""

    behind: bytes
    """The first bytes of that."""


class LmdbFile:
    """The entries of an LMDB file as it lies there, into which nobody may be writing.

    Args:
        path: The file, as a rule ``data.mdb``.

    Raises:
        DataError: If it is no LMDB, or cut off.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = check_plain(path).st_size
        self._file = open_plain(path)
        first = self._meta(0)
        metas = first, self._meta(first.page_size)
        self._page_size, self._root, _ = max(metas, key=lambda meta: meta.transaction)

    def entries(self) -> Iterator[tuple[bytes, Extent]]:
        """List keys in the order of the database, with the places of their values.

        Raises:
            DataError: If it is cut off or damaged, or holds what are no plain values.
        """
        pages = [] if self._root == _NO_ROOT else [self._root]
        # Damage may lead round in a circle.
        left = self._size // self._page_size
        while pages:
            number = pages.pop()
            kind, nodes = self._nodes(number)
            left -= 1
            if left < 0 or kind & _KINDS not in (_BRANCH, _LEAF):
                raise self._damaged(f"page {number} is out of place")
            if kind & _LEAF:
                yield from ((node.key, self._value(node)) for node in nodes)
            else:
                pages += [node.low | node.high << 16 | node.flags << 32 for node in reversed(nodes)]

    def read(self, extent: Extent) -> bytes:
        """Read a value."""
        return self._read(*extent)

    def _nodes(self, number: int) -> tuple[int, list[_Node]]:
        """Return what a page is, and its nodes."""
        start = number * self._page_size
        page = self._read(start, self._page_size)
        _, _, kind, end, _ = _HEADER.unpack_from(page)
        try:
            places = struct.unpack_from(f"<{(end - _HEADER.size) // 2}H", page, _HEADER.size)
            return kind, [_node(page, place, start) for place in places]
        except struct.error as error:
            raise self._damaged(f"page {number} points outside of itself") from error

    def _value(self, node: _Node) -> Extent:
        size = node.low | node.high << 16
        if node.flags not in (0, _ON_PAGES_OF_ITS_OWN):
            raise DataError(
                f"{printable(self._path)} must hold one plain value a key, got databases in it or several "
                "values a key: copy its images into one of its own"
            )
        start = node.start
        if node.flags:
            start = int.from_bytes(node.behind, "little") * self._page_size + _HEADER.size
        if start + size > self._size:
            raise self._cut(start + size)
        return Extent(start, size)

    def _meta(self, start: int) -> _Meta:
        size = _HEADER.size + _META.size
        page = os.pread(self._file.fileno(), size, start).ljust(size, b"\0")
        kind = _HEADER.unpack_from(page)[2]
        magic, version, page_size, root, _, transaction = _META.unpack_from(page, _HEADER.size)
        if not kind & _IS_META or (magic, version) != (_MAGIC, _VERSION):
            # In the words of LMDB, that it may be looked up.
            raise DataError(
                f"{printable(self._path)} cannot be read as an LMDB: MDB_INVALID: File is not an LMDB file"
            )
        if not _LEAST_PAGE <= page_size <= _LARGEST_PAGE:
            raise self._damaged(f"its pages have {page_size:,} bytes")
        return _Meta(page_size, root, transaction)

    def _read(self, start: int, size: int) -> bytes:
        # Compared first, since no system call takes numbers of any size.
        data = os.pread(self._file.fileno(), size, start) if start + size <= self._size else b""
        if len(data) < size:
            raise self._cut(start + size)
        return data

    def _cut(self, least: int) -> DataError:
        return DataError(
            f"{printable(self._path)} is cut off or damaged: it must have {least:,} bytes or more, got "
            f"{self._size:,}; fetch it again"
        )

    def _damaged(self, reason: str) -> DataError:
        return DataError(f"{printable(self._path)} is damaged ({reason}): fetch it again")


def _node(page: bytes, place: int, start: int) -> _Node:
    low, high, flags, length = _NODE.unpack_from(page, place)
    begin = place + _NODE.size
    end = begin + length
    if end > len(page):
        raise struct.error
    return _Node(page[begin:end], flags, low, high, start + end, page[end : end + _NUMBER])
