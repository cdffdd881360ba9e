"""A folder on this machine that keeps shards from elsewhere, up to some size."""

import hashlib
import logging
import os
import re
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple

from data_modules.shard_urls import shown
from wavelight.support.files import draft_of

_STEP = 1 << 24
_NAME = 80
_OTHER = re.compile(r"[^\w.-]", re.ASCII)
_OURS = re.compile(r"\.?[0-9a-f]{16}-[0-9a-f]{16}-")
_ABANDONED_AFTER = 86_400
"""Seconds after which a file that was not finished belongs to a process that was killed."""

_log = logging.getLogger(__name__)


class ShardCache:
    """Keeps the shards that were read last, and shares them among the processes of a machine.

    Args:
        folder: Where; other files in it are left alone.
        most_bytes: How much it may hold.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self.folder = Path(folder)
        self.most_bytes = most_bytes

    def find(self, url: str, version: str) -> Path | None:
        """Return the copy of a shard, or None.

        Args:
            url: Where it comes from.
            version: What tells its content from others; empty, if that is unknown, fits all.
        """
        for path in self.folder.glob(f"{_key(url)}-{_key(version) if version else '*'}-*"):
            # The last to go, from now on; another process may have removed it meanwhile.
            with suppress(OSError):
                os.utime(path)
                return path
        return None

    def forget(self, url: str) -> None:
        """Remove the copies of a shard."""
        for path in self.folder.glob(f"{_key(url)}-*"):
            path.unlink(missing_ok=True)

    def begin(self, url: str, version: str) -> "Copy":
        """Begin to copy a shard."""
        name = _OTHER.sub("_", PurePosixPath(shown(url)).name)[-_NAME:]
        return Copy(self, self.folder / f"{_key(url)}-{_key(version)}-{name}", url)

    def make_room(self, size: int) -> bool:
        """Remove the shards that were read longest ago, until so many bytes fit; say whether they do."""
        ours = (path for path in self.folder.iterdir() if _OURS.match(path.name))
        files = sorted(filter(None, map(_kept, ours)))
        room = self.most_bytes - sum(file.bytes for file in files)
        for file in files:
            if room < size and not _is_written(file):
                file.path.unlink(missing_ok=True)
                room += file.bytes
        return room >= size

    @property
    def step(self) -> int:
        """How many bytes are reserved at a time."""
        return min(_STEP, self.most_bytes // 16 + 1)


class Copy:
    """A shard that is written into a cache while it is read; it stays if it is whole and there is room."""

    def __init__(self, cache: ShardCache, path: Path, url: str) -> None:
        self._cache = cache
        self._path = path
        self._url = url
        self._opened = ExitStack()
        self._reserved = 0
        self._file: BinaryIO | None = None
        self._attempt(self._open)

    def write(self, data: bytes) -> None:
        """Add some bytes."""
        self._attempt(lambda: self._write(data))

    def keep(self) -> None:
        """Keep it, in place of what was kept of this shard."""
        self._attempt(self._keep)

    def drop(self) -> None:
        """Remove it, unless it was kept."""
        if self._file is not None:
            self._file = None
            # The error that tells the draft that it is none to keep.
            error = InterruptedError()
            self._opened.__exit__(type(error), error, None)

    def _attempt(self, step: Callable[[], None]) -> None:
        """Go on without a copy where the disk is full or may not be written."""
        try:
            step()
        except OSError as error:
            self.drop()
            _say_once(f"shards are not kept in {self._cache.folder}: {error}")

    def _open(self) -> None:
        draft = self._opened.enter_context(draft_of(self._path))
        self._file = self._opened.enter_context(draft.open("wb"))

    def _write(self, data: bytes) -> None:
        while self._file is not None and self._file.tell() + len(data) > self._reserved:
            self._reserve()
        if self._file is not None:
            self._file.write(data)

    def _reserve(self) -> None:
        assert self._file is not None
        self._file.flush()
        self._reserved += self._cache.step
        if not self._cache.make_room(self._reserved - self._file.tell()):
            self.drop()

    def _keep(self) -> None:
        if self._file is not None:
            self._cache.forget(self._url)
            self._opened.close()
            self._file = None


@cache
def _say_once(message: str) -> None:
    _log.warning(message)


class _Kept(NamedTuple):
    read_at: float
    bytes: int
    path: Path


def _kept(path: Path) -> _Kept | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return _Kept(found.st_mtime, found.st_size, path)


def _is_written(file: _Kept) -> bool:
    """Whether another process may be writing it now."""
    return file.path.name.startswith(".") and file.read_at > time.time() - _ABANDONED_AFTER


def _key(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]
