"""Files that lie elsewhere, by HTTP, in an object store or behind a command: opened at any byte, through fsspec."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from data_modules.errors import DataError
from data_modules.shard_urls import command, protocol, shown
from data_modules.tar_files import Readable

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "hf": "hf"}
"""The extra of this package that reads a protocol."""

_ENDLESS = "TooManyRedirects"
_IN_WORDS = {
    _ENDLESS: "the server leads from one address to the next without end",
    "ClientPayloadError": "the connection was cut",
}
"""Errors of aiohttp by their names."""

_WEB = ("http", "https")
_BLOCK = 1 << 22
_PARTIAL = 206
_BROKEN_PIPE = (128 + signal.SIGPIPE, -signal.SIGPIPE)
_TELLING = ("ETag", "Last-Modified", "LastModified", "mtime", "updated", "created", "blob_id")
"""What tells that a file was changed, by the names that file systems have for it."""


T = TypeVar("T")


class Opened(NamedTuple):
    """A file, opened at some byte."""

    file: Readable
    size: int | None
    """The bytes of the whole file, where that is known."""

    behind: int
    """How many bytes are to be skipped first."""

    stop: Callable[[], None]
    """Ends a read that hangs in another thread."""


class CutError(OSError):
    """A file that ends before its end."""


def check_protocol(name: str) -> None:
    """Raise DataError if there is nothing to read a protocol with."""
    _filesystem(name, os.getpid(), 1)


def connect(url: str, timeout: float) -> None:
    """Import what reads a place, which takes a second, before its answers are waited for."""
    if protocol(url):
        _filesystem(protocol(url), os.getpid(), timeout)


def find(url: str, timeout: float) -> list[str]:
    """List the files that fit a pattern with ``*``, by their addresses.

    Args:
        url: The pattern.
        timeout: How long to wait, in seconds.

    Raises:
        DataError: If the place cannot be listed.
    """
    files = _filesystem(protocol(url), os.getpid(), timeout)
    try:
        paths = _in_time(lambda: files.glob(url), timeout)
        return [str(files.unstrip_protocol(path)) for path in paths]
    # By the server and the file system.
    except Exception as error:
        raise DataError(f"{shown(url)} cannot be listed: {in_words(error)}") from error


def version(url: str, timeout: float) -> str:
    """Return what tells a file from one that was there before under its address.

    Args:
        url: Where it lies.
        timeout: How long to wait, in seconds.

    Returns:
        Empty if nothing tells, in this time.
    """
    if not protocol(url):
        return ""
    files = _filesystem(protocol(url), os.getpid(), timeout)
    try:
        found = _in_time(lambda: files.info(url), timeout)
    # Not every server tells, and that a file cannot be read is seen when it is read.
    except Exception:
        return ""
    return repr([found.get("size"), *(str(found[name]) for name in _TELLING if name in found)])


def _in_time(function: Callable[[], T], timeout: float) -> T:
    """Call a function that may hang, in a thread that is then left to itself."""
    results: SimpleQueue[T | Exception] = SimpleQueue()

    def run() -> None:
        try:
            results.put(function())
        except Exception as error:
            results.put(error)

    Thread(target=run, daemon=True).start()
    try:
        result = results.get(timeout=timeout)
    except Empty:
        raise TimeoutError(f"nothing came for {timeout:g} s") from None
    if isinstance(result, Exception):
        raise result
    return result


@contextmanager
def opened_at(url: str, offset: int, timeout: float) -> Iterator[Opened]:
    """Open a file at a byte, or before it where it can be read from its start alone.

    Args:
        url: Where it lies, or ``pipe:`` and the command that writes it.
        offset: The byte.
        timeout: How long a server may be silent, in seconds.
    """
    words = command(url)
    if words is not None:
        with _written_by(words, timeout) as opened:
            yield opened._replace(behind=offset)
        return
    files = _filesystem(protocol(url), os.getpid(), timeout)
    way = _from_web if protocol(url) in _WEB else _from_store
    with way(files, url, offset) as opened:
        yield opened


@contextmanager
def _from_web(files: "AbstractFileSystem", url: str, offset: int) -> Iterator[Opened]:
    headers = {"Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    # With some size, or fsspec would ask for it first, and hide what the server answers.
    with closing(files.open(url, "rb", block_size=0, size=1, headers=headers)) as file:
        start = offset if file.r.status == _PARTIAL else 0
        length = file.r.headers.get("Content-Length")
        size = None if length is None or not length.isdecimal() else start + int(length)
        yield Opened(file, size, offset - start, lambda: None)


@contextmanager
def _from_store(files: "AbstractFileSystem", url: str, offset: int) -> Iterator[Opened]:
    with files.open(url, "rb", block_size=_BLOCK, cache_type="readahead") as file:
        file.seek(offset)
        yield Opened(cast(Readable, file), getattr(file, "size", None), 0, lambda: None)


@contextmanager
def _written_by(words: str, timeout: float) -> Iterator[Opened]:
    process = subprocess.Popen(
        words, shell=True, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, start_new_session=True
    )
    try:
        assert process.stdout is not None
        with process.stdout as output:
            yield Opened(output, None, 0, lambda: _kill(process))
        code = process.wait(timeout)
    finally:
        _kill(process)
    if code and code not in _BROKEN_PIPE:
        raise CutError(f"the command ended with exit code {code}")


def _kill(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        with suppress(ProcessLookupError):
            # The group, since the command may have started others.
            os.killpg(process.pid, signal.SIGKILL)


@cache
def _filesystem(name: str, process: int, timeout: float) -> "AbstractFileSystem":
    """Return what reads a protocol, one for each process, since connections do not outlive a fork."""
    import fsspec

    try:
        return fsspec.filesystem(name, **_options(name, timeout))
    except ImportError as error:
        extra = _EXTRAS.get(name)
        hint = f": pip install 'wavelight[{extra}]'" if extra else ""
        raise DataError(
            f"urls that begin with {name}:// need another package{hint} ({error})"
        ) from error
    except ValueError as error:
        raise DataError(
            f"urls must begin with https://, s3://, gs://, hf:// or another protocol of fsspec, got {name}://"
        ) from error


def _options(name: str, timeout: float) -> dict[str, Any]:
    if name not in _WEB:
        return {}
    from aiohttp import ClientTimeout

    # Without the limit of five minutes for all of a file; proxies are those of the environment. Whoever
    # reads waits less long, and leaves such a connection behind.
    limits = ClientTimeout(total=None, sock_connect=2 * timeout, sock_read=2 * timeout)
    return {"client_kwargs": {"timeout": limits, "trust_env": True}}


def is_final(error: BaseException) -> bool:
    """Whether it would be of no use to try again."""
    status = getattr(error, "status", None)
    if type(error).__name__ == _ENDLESS:
        return True
    if isinstance(status, int):
        return 300 <= status < 500 and status not in (408, 425, 429)
    return isinstance(error, (DataError, FileNotFoundError, PermissionError, NotImplementedError))


def in_words(error: BaseException) -> str:
    """Say what went wrong, as a person would."""
    # aiohttp is not imported for its names alone.
    if type(error).__name__ in _IN_WORDS:
        return _IN_WORDS[type(error).__name__]
    status = getattr(error, "status", None)
    if isinstance(error, FileNotFoundError) or status == 404:
        return "it is not there"
    if isinstance(error, PermissionError) or status in (401, 403):
        return "access is refused: check the credentials"
    if isinstance(status, int):
        return f"the server answers {status} {getattr(error, 'message', '')}".strip()
    return str(error) or type(error).__name__
