"""Shards read as a stream, from this machine, the web, an object store or a command."""

import hashlib
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
from torch.utils.data import IterableDataset, get_worker_info
from typing_extensions import override

from data_modules.batches import Fetched, collate
from data_modules.errors import DataError, UnusableImageError
from data_modules.order import hash_key, hash_numbers
from data_modules.pictures import read_picture
from data_modules.remote_files import version
from data_modules.shard_cache import ShardCache
from data_modules.shard_lists import expand
from data_modules.shard_reader import ShardReader, whole_files
from data_modules.shard_samples import (
    Naming,
    StreamSample,
    grouped,
    label_of,
)
from data_modules.shard_urls import local_path, shown
from data_modules.source import Sample
from data_modules.steady_file import ShardError
from data_modules.unusable import Useless, check_count, check_lost

_MOST_DESCRIBED = 32
_PATIENCE = 5.0
"""How long a server may take to describe a shard, in seconds."""


class ShardStream:
    """Webdataset shards read from start to end, for data that cannot be read by number.

    Exact resume is given up here: training draws shards with replacement, so a run that starts
    again in the middle sees the same mixture in another order, and an epoch has no meaning. Use
    ``Shards`` wherever the shards lie in a folder. Each reader (a worker of a process) has shards
    of its own, so there must be at least as many shards as readers.

    Args:
        urls: Shards: files, ``https://...``, ``s3://...``, ``gs://...``, ``hf://...`` and whatever else
            fsspec reads, ``pipe:aws s3 cp ... -``; ranges in braces, ``train-{0000..0099}.tar``, and
            stars, ``train-*.tar``.
        mixed: How many images each worker holds to draw from; more mixes better and takes more
            memory.
        upscale: Enlarge images that are smaller than the image size; else such an image is an
            error.
        image: How the names of images end behind a sample's key, such as ``png`` or ``left.png``; when
            left out, a key ends at the first dot, and each sample has one image.
        class_names: The names of the classes in order, of which a ``.cls`` holds one or its number; when
            left out, a ``.cls`` holds a number; [] reads no classes.
        tries: How often in a row reading from elsewhere may fail before the shard counts as lost; each
            time goes on where the last one ended, after a longer pause.
        stall_timeout: How long a server may send (almost) nothing, in seconds, until that counts as a
            failure.
        max_lost_shards: How many shards may be lost, and are then reported and left out; counted in
            each process.
        cache: A folder of this machine in which shards from elsewhere are kept.
        cache_gb: How much the cache may hold, in 10^9 bytes; the shards that were read longest ago
            make room for others.
    """

    channels: int = 3
    value_range: tuple[float, float] | None = (-1.0, 1.0)
    folder: Path | None = None
    title: str = "shards"

    def __init__(
        self,
        urls: str | list[str],
        mixed: int = 1000,
        upscale: bool = False,
        image: str | None = None,
        class_names: list[str] | None = None,
        tries: int = 4,
        stall_timeout: float = 30.0,
        max_lost_shards: int = 0,
        cache: Path | None = None,
        cache_gb: float = 100.0,
    ) -> None:
        _check(mixed=(mixed, mixed >= 1), tries=(tries, tries >= 1))
        _check(stall_timeout=(stall_timeout, stall_timeout > 0), cache_gb=(cache_gb, cache_gb > 0))
        if max_lost_shards < 0:
            raise DataError(f"max_lost_shards must not be negative, got {max_lost_shards}")
        self.urls = urls
        self.mixed = mixed
        self.upscale = upscale
        self.max_lost_shards = max_lost_shards
        self.naming = Naming(image.lstrip(".") if image else None)
        self._labels = class_names
        kept = ShardCache(Path(cache), int(cache_gb * 1e9)) if cache else None
        self.reader = ShardReader(self.naming, tries, stall_timeout, kept)

    @property
    def class_names(self) -> list[str]:
        """The names of the classes in the order of their labels; empty where none were given."""
        return list(self._labels or [])

    @property
    def description(self) -> str:
        """A string that changes with the list of shards, and with what lies there."""
        shards = self.shards()
        told: list[object] = [_local_stamp(shard) for shard in shards]
        # Servers are asked of a few, spread over all, so that it takes seconds.
        asked = shards[:: -(-len(shards) // _MOST_DESCRIBED)]
        told += [version(shard, _PATIENCE) for shard in asked]
        listing = hashlib.sha256(repr([shards, told, self.naming, self._labels]).encode())
        return f"stream {listing.hexdigest()}, upscale {self.upscale}"

    def shards(self) -> list[str]:
        """List the shards."""
        return self._expanded

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

    def read(self, sample: StreamSample, size: int) -> Sample:
        """Decode a sample.

        Raises:
            UnusableImageError: If it has no image, or an unreadable one.
            DataError: If it has a class, and that is none.
        """
        if sample.image is None:
            raise UnusableImageError(f"{sample.name} has no image: {self._remedy}")
        label = label_of(sample, self._labels)
        return Sample(read_picture(sample.image, sample.name, size, self.upscale), label)

    @property
    def _remedy(self) -> str:
        if self.naming.image:
            return f"set image to the ending of its name, which is not {self.naming.image}"
        return "set image to the ending of its name"

    @cached_property
    def _expanded(self) -> list[str]:
        urls = [self.urls] if isinstance(self.urls, str) else self.urls
        shards = [shard for url in urls for shard in expand(url)]
        if not shards:
            raise DataError("urls is empty: name at least one shard")
        return shards


class StreamPass(IterableDataset[Fetched | DataError]):
    """Batches from the shards of one process, each image once; its workers divide the shards."""

    def __init__(
        self,
        stream: ShardStream,
        shards: list[str],
        size: int,
        batch_size: int,
        max_unreadable: int | None = None,
    ) -> None:
        """Prepare to read.

        Args:
            stream: Where the shards come from.
            shards: Those of this process.
            size: Side of the images in pixels.
            batch_size: Images of this process in a batch.
            max_unreadable: How many images of a batch may be unusable.
        """
        self._stream = stream
        self._shards = shards
        self._size = size
        self._batch_size = batch_size
        self._max_unreadable = max_unreadable
        self._lost: dict[str, str] = {}
        self._useless = Useless("samples")

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

    def _samples(self, shards: list[str], worker: int) -> Iterator[StreamSample]:
        return self._grouped({"url": shard} for shard in shards)

    def _grouped(self, shards: Iterable[dict[str, str]]) -> Iterator[StreamSample]:
        """Read samples from shards, as webdataset lists them."""
        urls = (shard["url"] for shard in shards)
        return grouped(whole_files(urls, self._stream.reader, self._lose), self._stream.naming)

    def _lose(self, url: str, error: ShardError) -> None:
        self._lost[url] = str(error)
        check_lost(len(self._lost), self._stream.max_lost_shards, str(error))

    def _flips(self, count: int) -> list[bool] | None:
        return None

    def _fetch(self, samples: Iterator[StreamSample]) -> Fetched | None:
        """Fill a batch; None at the end of the samples."""
        read: list[Sample] = []
        unusable: dict[str, str] = {}
        for sample in samples:
            try:
                read.append(self._stream.read(sample, self._size))
                self._useless.clear()
            except UnusableImageError as error:
                self._note(sample.name, str(error), unusable)
            if len(read) == self._batch_size:
                break
        lost, self._lost = self._lost, {}
        if not read and not unusable and not lost:
            return None
        numbers = np.zeros(len(read), dtype=np.int64)
        return Fetched(collate(read, numbers, self._flips(len(read))), unusable, lost)

    def _note(self, name: str, reason: str, unusable: dict[str, str]) -> None:
        unusable[name] = reason
        if self._max_unreadable is not None:
            check_count(len(unusable), self._max_unreadable, reason)
        self._useless.note(name, reason)


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
        max_unreadable: int | None = None,
    ) -> None:
        """Prepare to read.

        Args:
            stream: Where the shards come from.
            shards: Those of this process.
            size: Side of the images in pixels.
            batch_size: Images of this process in a batch.
            flip: Mirror every second image, by chance.
            key: Numbers that seed the order: the seed, the process, and where training stands.
            max_unreadable: How many images of a batch may be unusable.
        """
        super().__init__(stream, shards, size, batch_size, max_unreadable)
        self._flip = flip
        self._key = key
        self._batches = 0

    @override
    def _samples(self, shards: list[str], worker: int) -> Iterator[StreamSample]:
        import webdataset as wds

        seed = int(hash_key(*self._key, worker) >> np.uint64(1))
        drawn = wds.ResampledShards(
            shards, deterministic=True, seed=seed, worker_seed=lambda: worker
        )
        shuffle = wds.detshuffle(self._stream.mixed, initial=self._stream.mixed // 2, seed=seed)
        return iter(wds.DataPipeline(drawn, self._grouped, shuffle))

    @override
    def _grouped(self, shards: Iterable[dict[str, str]]) -> Iterator[StreamSample]:
        """Read samples as long as there are any, since the shards have no end."""
        empty = Useless("shards")
        for shard in shards:
            any_sample = False
            for sample in super()._grouped([shard]):
                any_sample = True
                yield sample
            if any_sample:
                empty.clear()
            else:
                url = shard["url"]
                empty.note(url, self._lost.get(url, f"{shown(url)} holds no sample"))

    @override
    def _flips(self, count: int) -> list[bool] | None:
        if not self._flip:
            return None
        worker = get_worker_info()
        self._batches += 1
        bits = hash_numbers(range(count), *self._key, worker.id if worker else 0, self._batches)
        return [bool(bit & 1) for bit in bits.tolist()]


def _local_stamp(shard: str) -> tuple[int, ...]:
    """Return bytes and time of change of a shard on this machine; nothing of others."""
    path = local_path(shard)
    if path is None or not path.is_file():
        return ()
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def _check(**numbers: tuple[float, bool]) -> None:
    for name, (number, fits) in numbers.items():
        if not fits:
            raise DataError(f"{name} must be positive, got {number}")
