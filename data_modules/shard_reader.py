"""Reader of shards from wherever they lie: this machine, a server, an object store, a command."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager

from data_modules.plain_files import open_plain
from data_modules.remote_files import version
from data_modules.shard_cache import Copy, ShardCache
from data_modules.shard_samples import Naming, ShardEnd, ShardFile
from data_modules.shard_urls import local_path, shown
from data_modules.steady_file import ShardError, SteadyFile
from data_modules.tar_files import Readable, tar_files

_PATIENCE = 5.0
"""How long a server may take to tell whether a shard has changed, in seconds."""


class ShardReader:
    """Reads shards, each file in them once, whatever happens on the way.

    Args:
        naming: Which files of a shard are wanted; of all samples the one image, when left out.
        tries: How often reading from elsewhere may fail in a row.
        stall_timeout: How long a server may be silent, in seconds.
        cache: Where shards from elsewhere are kept.
    """

    def __init__(
        self,
        naming: Naming | None = None,
        tries: int = 4,
        stall_timeout: float = 30.0,
        cache: ShardCache | None = None,
    ) -> None:
        self._naming = naming or Naming()
        self._tries = tries
        self._timeout = stall_timeout
        self._cache = cache

    def files(self, url: str) -> Iterator[ShardFile]:
        """Read the files in a shard.

        Raises:
            ShardError: If it cannot be read to its end.
        """
        # A connection may be cut unseen, and a copy be damaged: once more, behind what was given.
        given = 0
        for last in (local_path(url) is not None, True):
            try:
                for number, file in enumerate(self._read(url)):
                    if number >= given:
                        given += 1
                        yield file
                return
            except ShardError:
                raise
            # Which error it is depends on how the shard is broken.
            except Exception as error:
                self._forget(url)
                if last:
                    raise _broken(url, error) from error

    def _read(self, url: str) -> Iterator[ShardFile]:
        with self._opened(url) as file:
            for entry in tar_files(file, self._naming.wanted):
                yield ShardFile(url, entry.name, entry.data)

    @contextmanager
    def _opened(self, url: str) -> Iterator[Readable]:
        path = local_path(url)
        told = "" if path or self._cache is None else version(url, min(_PATIENCE, self._timeout))
        path = path or (self._cache.find(url, told) if self._cache else None)
        if path is not None:
            with open_plain(path) as file:
                yield file
            return
        with closing(SteadyFile(url, self._tries, self._timeout)) as steady:
            if self._cache is None:
                yield steady
                return
            with _copied(steady, self._cache.begin(url, told)) as copied:
                yield copied

    def _forget(self, url: str) -> None:
        if self._cache is not None:
            self._cache.forget(url)


class _Copied:
    """A file that is written into a cache while it is read."""

    def __init__(self, file: Readable, copy: Copy) -> None:
        self._file = file
        self._copy = copy

    def read(self, size: int = -1, /) -> bytes:
        data = self._file.read(size)
        self._copy.write(data)
        return data


@contextmanager
def _copied(file: Readable, copy: Copy) -> Iterator[Readable]:
    """Keep a copy, unless the file is not read to its end."""
    try:
        yield _Copied(file, copy)
        copy.keep()
    finally:
        copy.drop()


def _broken(url: str, error: Exception) -> ShardError:
    # Some name the shard themselves.
    if str(error).startswith(shown(url)):
        return ShardError(f"the shard {error}")
    return ShardError(f"the shard {shown(url)} cannot be read to its end: {error}")


def whole_files(
    shards: Iterable[str], reader: ShardReader, lose: Callable[[str, ShardError], None]
) -> Iterator[ShardFile | ShardEnd]:
    """Read the files in shards, each shard followed by its end.

    Args:
        shards: Where they lie.
        reader: Reads them.
        lose: Is called for each that cannot be read to its end, and may raise the error.
    """
    for shard in shards:
        try:
            yield from reader.files(shard)
        except ShardError as error:
            lose(shard, error)
        yield ShardEnd(shard)
