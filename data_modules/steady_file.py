"""Files that lie elsewhere, read as if they lay here: through stalls, cuts and errors of servers."""

import logging
import random
import time
from contextlib import suppress
from queue import Empty, Full, Queue
from threading import Event, Thread

from data_modules.errors import DataError
from data_modules.remote_files import CutError, Opened, connect, in_words, is_final, opened_at
from data_modules.shard_urls import shown

_PIECE = 1 << 18
_AHEAD = 32
_FIRST_WAIT = 1.0
_LONGEST_WAIT = 30.0

_log = logging.getLogger(__name__)


class ShardError(DataError):
    """A shard that cannot be read, while others may be good."""


class SteadyFile:
    """Reads a file that lies elsewhere, a little ahead, and tries again where reading stopped.

    Args:
        url: Where it lies.
        tries: How often nothing may come in a row.
        stall_timeout: How long a piece of 256 kB may take, in seconds.
    """

    def __init__(self, url: str, tries: int, stall_timeout: float) -> None:
        self._url = url
        self._tries = tries
        self._timeout = stall_timeout
        self._feed: _Feed | None = None
        self._piece = b""
        self._count = 0
        self._failures = 0
        self._ended = False
        connect(url, stall_timeout)

    def read(self, size: int = -1, /) -> bytes:
        """Read up to so many bytes; none at the end.

        Raises:
            ShardError: If the file cannot be read to its end.
        """
        if not self._piece and not self._ended:
            self._piece = self._next()
            self._count += len(self._piece)
            self._ended = not self._piece
        size = len(self._piece) if size < 0 else size
        data, self._piece = self._piece[:size], self._piece[size:]
        return data

    def close(self) -> None:
        """Stop reading ahead."""
        if self._feed is not None:
            self._feed.leave()
        self._feed = None

    def _next(self) -> bytes:
        while True:
            self._feed = self._feed or _Feed(self._url, self._count, self._timeout)
            try:
                piece = self._feed.next()
            except Exception as error:
                self.close()
                self._fail(error)
                continue
            self._failures = 0
            return piece

    def _fail(self, error: Exception) -> None:
        """Wait, or give up."""
        self._failures += 1
        reason = (
            f"{in_words(error)}, after {self._count:,} bytes" if self._count else in_words(error)
        )
        if is_final(error) or self._failures >= self._tries:
            often = f" ({self._failures} tries)" if self._failures > 1 else ""
            raise ShardError(
                f"the shard {shown(self._url)} cannot be read to its end: {reason}{often}"
            ) from error
        _log.info("the shard %s is tried again: %s", shown(self._url), reason)
        wait = min(_FIRST_WAIT * 2 ** (self._failures - 1), _LONGEST_WAIT)
        # Apart from each other, as many readers may have met the same fault at the same time.
        time.sleep(wait * (0.5 + random.SystemRandom().random() / 2))


class _Feed:
    """Reads ahead in a thread, which is left to itself if it hangs."""

    def __init__(self, url: str, offset: int, timeout: float) -> None:
        self._url = url
        self._offset = offset
        self._timeout = timeout
        self._pieces: Queue[bytes | Exception | None] = Queue(_AHEAD)
        """None is a sign of life."""
        self._left = Event()
        self._opened: Opened | None = None
        Thread(target=self._run, daemon=True, name="shard").start()

    def next(self) -> bytes:
        """Return the next piece; none at the end.

        Raises:
            TimeoutError: If none comes in time.
            Exception: If reading failed.
        """
        piece = None
        while piece is None:
            try:
                piece = self._pieces.get(timeout=self._timeout)
            except Empty:
                raise TimeoutError(f"nothing came for {self._timeout:g} s") from None
        if isinstance(piece, Exception):
            raise piece
        return piece

    def leave(self) -> None:
        """Let the thread end as soon as it can."""
        self._left.set()
        if self._opened is not None:
            self._opened.stop()

    def _run(self) -> None:
        try:
            self._read()
        # Whatever it is, the thread that waits for a piece says it.
        except Exception as error:
            self._put(error)
        else:
            self._put(b"")

    def _read(self) -> None:
        count = self._offset
        with opened_at(self._url, self._offset, self._timeout) as self._opened:
            self._skip(self._opened.behind)
            while not self._left.is_set() and (piece := self._fill()):
                count += len(piece)
                self._put(piece)
            size = self._opened.size
        if size is not None and count < size and not self._left.is_set():
            raise CutError(f"the connection was cut: {size:,} bytes were announced")

    def _skip(self, count: int) -> None:
        while count and not self._left.is_set():
            piece = self._fill(min(count, _PIECE))
            if not piece:
                raise CutError("it has become shorter")
            count -= len(piece)
            self._put(None)

    def _fill(self, size: int = _PIECE) -> bytes:
        """Read a whole piece, so that a server that trickles is too slow for it."""
        assert self._opened is not None
        piece = bytearray()
        while len(piece) < size and (data := self._opened.file.read(size - len(piece))):
            piece += data
        return bytes(piece)

    def _put(self, piece: bytes | Exception | None) -> None:
        given = False
        while not (given or self._left.is_set()):
            with suppress(Full):
                self._pieces.put(piece, timeout=1)
                given = True
