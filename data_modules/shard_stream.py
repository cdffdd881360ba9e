"""Shards read as a stream, from the web or any other place that webdataset reaches."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from torch.utils.data import IterableDataset, get_worker_info
from typing_extensions import override

from data_modules.batches import Fetched, collate
from data_modules.errors import DataError, UnusableImageError
from data_modules.order import hash_key, hash_numbers
from data_modules.pictures import SUFFIXES, read_picture
from data_modules.source import Sample

Entry: TypeAlias = dict[str, Any]
"""A file of a shard, or a sample, as the stages of webdataset pass them on."""

_TAR_END = bytes(1024)


class ShardStream:
    """Webdataset shards read from start to end, for data that cannot be read by number.

    Exact resume is given up here: training draws shards with replacement, so a run that starts
    again in the middle sees the same mixture in another order, and an epoch has no meaning. Use
    ``Shards`` wherever the shards lie in a folder. Each reader (a worker of a process) has shards
    of its own, so there must be at least as many shards as readers.

    Args:
        urls: Shards: files, ``https://...``, ``pipe:aws s3 cp ... -``; ranges in braces,
            ``train-{0000..0099}.tar``.
        mixed: How many images each worker holds to draw from; more mixes better and takes more
            memory.
        upscale: Enlarge images that are smaller than the image size; else such an image is an
            error.
    """

    channels: int = 3
    value_range: tuple[float, float] | None = (-1.0, 1.0)
    folder: Path | None = None

    def __init__(self, urls: str | list[str], mixed: int = 1000, upscale: bool = False) -> None:
        self.urls = urls
        self.mixed = mixed
        self.upscale = upscale

    @property
    def description(self) -> str:
        """A string that changes with the list of shards."""
        listing = hashlib.sha256("\n".join(self.shards()).encode()).hexdigest()
        return f"stream {listing}, upscale {self.upscale}"

    def shards(self) -> list[str]:
        """List the shards."""
        from webdataset.shardlists import expand_urls

        urls = [self.urls] if isinstance(self.urls, str) else self.urls
        shards = [shard for url in urls for shard in expand_urls(url)]
        if not shards:
            raise DataError("urls is empty: name at least one shard")
        return shards

    def shards_of(self, rank: int, ranks: int, workers: int) -> list[str]:
        """Return the shards of one process.

        Raises:
            DataError: If some reader would have none.
        """
        # Split here, in the main process: workers that are not forked do not know their rank (traps
        # of webdataset).
        shards, workers = self.shards(), max(1, workers)
        if len(shards) < ranks * workers:
            raise DataError(
                f"{len(shards)} shards cannot feed {ranks} processes x {workers} workers: lower "
                "num_workers, or cut the data into more shards"
            )
        return shards[rank::ranks]


class StreamPass(IterableDataset[Fetched | DataError]):
    """Batches from the shards of one process, each image once; its workers divide the shards."""

    def __init__(self, stream: ShardStream, shards: list[str], size: int, batch_size: int) -> None:
        self._stream = stream
        self._shards = shards
        self._size = size
        self._batch_size = batch_size

    @override
    def __iter__(self) -> Iterator[Fetched | DataError]:
        worker = get_worker_info()
        number, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        samples = self._samples(self._shards[number::workers], number)
        try:
            while (fetched := self._fetch(samples)) is not None:
                yield fetched
        except DataError as error:
            yield error

    def _samples(self, shards: list[str], worker: int) -> Iterator[Entry]:
        return grouped(whole_files({"url": shard} for shard in shards))

    def _flips(self, count: int) -> list[bool] | None:
        return None

    def _fetch(self, samples: Iterator[Entry]) -> Fetched | None:
        """Fill a batch; None at the end of the samples."""
        read: list[Sample] = []
        unusable: dict[str, str] = {}
        for sample in samples:
            name = f"{sample['__key__']} in {sample['__url__']}"
            try:
                read.append(self._read(sample, name))
            except UnusableImageError as error:
                unusable[name] = str(error)
            if len(read) == self._batch_size:
                break
        if not read and not unusable:
            return None
        return Fetched(
            collate(read, np.zeros(len(read), dtype=np.int64), self._flips(len(read))), unusable
        )

    def _read(self, sample: Entry, name: str) -> Sample:
        data = next((value for key, value in sample.items() if f".{key}" in SUFFIXES), None)
        if data is None:
            raise UnusableImageError(f"{name} has no image")
        return Sample(
            read_picture(data, name, self._size, self._stream.upscale), int(sample.get("cls", -1))
        )


class StreamDraws(StreamPass):
    """Batches without end, from shards drawn with replacement."""

    def __init__(
        self,
        stream: ShardStream,
        shards: list[str],
        size: int,
        batch_size: int,
        flip: bool,
        key: tuple[int, ...],
    ) -> None:
        """Prepare to read.

        Args:
            stream: Where the shards come from.
            shards: Those of this process.
            size: Side of the images in pixels.
            batch_size: Images of this process in a batch.
            flip: Mirror every second image, by chance.
            key: Numbers that seed the order: the seed, the process, and where training stands.
        """
        super().__init__(stream, shards, size, batch_size)
        self._flip = flip
        self._key = key
        self._batches = 0

    @override
    def _samples(self, shards: list[str], worker: int) -> Iterator[Entry]:
        import webdataset as wds

        seed = int(hash_key(*self._key, worker) >> np.uint64(1))
        drawn = wds.ResampledShards(
            shards, deterministic=True, seed=seed, worker_seed=lambda: worker
        )
        shuffle = wds.detshuffle(self._stream.mixed, initial=self._stream.mixed // 2, seed=seed)
        return iter(wds.DataPipeline(drawn, whole_files, grouped, shuffle))

    @override
    def _flips(self, count: int) -> list[bool] | None:
        if not self._flip:
            return None
        worker = get_worker_info()
        self._batches += 1
        bits = hash_numbers(range(count), *self._key, worker.id if worker else 0, self._batches)
        return [bool(bit & 1) for bit in bits.tolist()]


def whole_files(shards: Iterable[Entry]) -> Iterator[Entry]:
    """Read the files in shards, each shard followed by an empty entry, as webdataset has it.

    Raises:
        DataError: If a shard cannot be opened or is cut off.
    """
    for shard in shards:
        try:
            yield from _files(shard["url"])
        except DataError:
            raise
        # Which error it is depends on where the shard lies and how it is broken.
        except Exception as error:
            raise DataError(
                f"the shard {shard['url']} cannot be read to its end: {error}"
            ) from error
        yield {}


def grouped(files: Iterable[Entry]) -> Iterator[Entry]:
    """Join the files that differ in their suffix alone into samples."""
    from webdataset.tariterators import group_by_keys

    return group_by_keys(files)


def _files(url: str) -> Iterator[Entry]:
    from webdataset.gopen import gopen
    from webdataset.tariterators import tar_file_iterator

    with gopen(url) as opened:
        file = _WatchedFile(opened)
        for entry in tar_file_iterator(file):
            yield {**entry, "__url__": url}
        file.check_end(url)


class _WatchedFile:
    """Remembers the last bytes read, because tarfile takes a cut between two files for the end."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._tail = b""
        self._plain: bool | None = None

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        if self._plain is None:
            self._plain = data[257:262] == b"ustar"
        self._tail = (self._tail + data)[-len(_TAR_END) :]
        return data

    def check_end(self, url: str) -> None:
        # Past the end that tarfile saw there may be padding; a compressed shard knows its own end.
        while self.read(1 << 20):
            pass
        if self._plain and self._tail != _TAR_END:
            raise DataError(
                f"the shard {url} is cut off (it lacks the end of a tar file): fetch it again"
            )
