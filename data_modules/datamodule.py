"""The data module that serves every system."""

import hashlib
import os
from collections.abc import Iterator
from functools import cached_property, partial
from itertools import count
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch.utils.data import DataLoader, Dataset
from typing_extensions import override

from data_modules import statistics
from data_modules.batches import (
    Batch,
    GlobalBatches,
    OnePass,
    TrainingStream,
    cut,
    share,
    to_float,
)
from data_modules.errors import DataError
from data_modules.loaders import (
    EndlessLoader,
    NumberLoader,
    PassLoader,
    receive_all,
    receive_stream,
)
from data_modules.reading import contents
from data_modules.shard_stream import ShardStream, StreamDraws, StreamPass
from data_modules.source import Source
from data_modules.unusable import UnusableImages
from data_modules.workers import leave_signals_to_trainer
from wavelight.wavelets import LevelStatistics, Split, dwt2

_CACHE_NAME = ".wavelight"


class WaveletDataModule(L.LightningDataModule):
    """Images for training, evaluation and band statistics, from any source.

    Which images a batch holds, in which order, and which of them are mirrored, depends on the seed
    and on the number of images seen alone: not on the number of processes or workers, and not on
    whether the run was interrupted. The training data has no end, so the trainer needs
    ``limit_train_batches``.

    Args:
        source: Where images come from.
        image_size: Height and width in pixels; pictures are resized by their shorter side, and
            their middle is cut out.
        batch_size: Images in a training batch, over all processes together.
        seed: Decides the order of images and which are mirrored.
        num_workers: Processes that read images, for each training process; 0 reads in the training
            process itself.
        flip: Mirror every second image, by chance, from left to right.
        held_out: Images to set aside from training, always the same ones. Shards bring the part
            that was set aside when they were prepared, of which this is the number to use; 0 uses
            all of it.
        max_unreadable: How many images may be unreadable or too small and are then reported and
            replaced by the next; counted in each process.
        val_images: Images to sample in each validation; 0 for no validation.
        test_images: Images to sample in a test.
        eval_batch_size: Images that one process samples or reads at a time outside training.
        cache_dir: Where statistics are kept; beside the data (or in the user's cache folder) when
            left out.
        start_method: How worker processes start: fork, forkserver or spawn; Python's default when
            left out.
        channels: Channels of an image in a batch: 1 makes pictures in colours grey; the source's when left
            out.
        name: What the data set is called in tables and in W&B; the source's name when left out.
    """

    def __init__(
        self,
        source: Source | ShardStream,
        image_size: int,
        batch_size: int,
        seed: int = 0,
        num_workers: int = 2,
        flip: bool = True,
        held_out: int = 0,
        max_unreadable: int = 0,
        val_images: int = 0,
        test_images: int = 50_000,
        eval_batch_size: int = 64,
        cache_dir: Path | None = None,
        start_method: str | None = None,
        channels: int | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__()
        _check_least(
            1, image_size=image_size, batch_size=batch_size, eval_batch_size=eval_batch_size
        )
        _check_least(0, held_out=held_out, num_workers=num_workers, max_unreadable=max_unreadable)
        self.source = source
        self.name: str = source.title if name is None else name
        self.image_size = image_size
        self.batch_size = batch_size
        self.seed = seed
        self.num_workers = num_workers
        self.flip = flip
        self.held_out = held_out
        self.val_images = val_images
        self.test_images = test_images
        self.eval_batch_size = eval_batch_size
        lost = source.max_lost_shards if isinstance(source, ShardStream) else 0
        self.unusable = UnusableImages(max_unreadable, lost)
        self._cache_dir = cache_dir
        self._start_method = start_method
        self.channels = source.channels if channels is None else channels
        self._grey = self.channels != source.channels
        if self._grey and (self.channels, source.channels) != (1, 3):
            raise DataError(
                f"channels must be {source.channels}, as {type(source).__name__} has, or 1 for colours made grey, got "
                f"{channels}"
            )

    @property
    def value_range(self) -> tuple[float, float] | None:
        """The range of the images in a batch; None where it is unbounded."""
        return self.source.value_range

    @property
    def class_names(self) -> list[str]:
        """The names of the classes in the order of their labels; empty where there are none."""
        return self.source.class_names

    @cached_property
    def fingerprint(self) -> str:
        """A short name for these images at this size and split, under which results are kept."""
        parts = [part for part in self._parts if part is not None]
        told = [part.description for part in parts]
        seen = [contents(part, self.image_size) for part in parts if isinstance(part, Source)]
        key = (told, seen, self.image_size, *(["grey"] if self._grey else []))
        return hashlib.sha256(repr(key).encode()).hexdigest()[:16]

    @cached_property
    def cache_dir(self) -> Path:
        """A folder that can be written, for what is computed from the data."""
        if self._cache_dir is not None:
            self._cache_dir.mkdir(parents=True, exist_ok=True)
            return self._cache_dir
        beside = self.source.folder
        if beside is not None and os.access(beside, os.W_OK):
            folder = beside / _CACHE_NAME
        else:
            folder = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "wavelight"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @override
    def prepare_data(self) -> None:
        if isinstance(self.source, Source):
            self.source.fetch()

    @override
    def setup(self, stage: str | None = None) -> None:
        self._local_batch_size()
        _ = self._parts

    @override
    def teardown(self, stage: str) -> None:
        self.unusable.say()

    @override
    def train_dataloader(self) -> EndlessLoader:
        begin = self._begin_stream if isinstance(self.source, ShardStream) else self._begin
        self._local_batch_size()
        return EndlessLoader(begin, self.batch_size, self._images_seen, self.unusable.say)

    @override
    def val_dataloader(self) -> NumberLoader | list[Any]:
        return self._numbers(self.val_images)

    @override
    def test_dataloader(self) -> NumberLoader | list[Any]:
        return self._numbers(self.test_images)

    def reference_dataloader(self, images: int | None = None) -> PassLoader:
        """Return this process's share of the training images, each once and not mirrored.

        Args:
            images: Take this many, the first of one random order that is the same in every run; all
                when left out.
        """
        return self._pass(self._parts[0], images)

    @property
    def held_out_images(self) -> int:
        """How many images are kept from training."""
        part = self._parts[1]
        return 0 if part is None else len(part)

    def held_out_dataloader(self, images: int | None = None) -> PassLoader:
        """Return this process's share of the images kept from training, each once and not mirrored.

        Args:
            images: Take this many, the first of one random order that is the same in every run; all
                when left out.

        Raises:
            DataError: If no images are held out.
        """
        part = self._parts[1]
        if part is None:
            raise DataError(
                "there is no held-out split: set held_out, or prepare the shards with held_out"
            )
        return self._pass(part, images)

    def band_statistics(
        self, bands: str, levels: int, split: Split | None = None
    ) -> list[LevelStatistics]:
        """Measure the bands of the training images, or read what was measured before.

        In a distributed run all processes must call this, since they share the work.

        Args:
            bands: Names the bands, and so the file that keeps what was measured: the wavelet, as
                :func:`wavelight.wavelets.dwt2` knows it.
            levels: How often LL is split.
            split: Halves images once, for bands that are no wavelet's.

        Returns:
            For each level from 0, the pixels (which have no details), to ``levels``: statistics of
            LL and of the details.
        """
        path = self.cache_dir / f"bands-{self.fingerprint}-{bands}-{levels}.safetensors"
        found = statistics.load(path)
        if found is None:
            images = (batch["image"] for batch in self.reference_dataloader())
            split = split or partial(dwt2, wavelet=bands)
            found = statistics.measure(images, self.channels, split, levels)
            statistics.save(path, found)
        return found

    @override
    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        # Images travel as bytes, a quarter of the traffic, and become numbers on the device.
        return to_float(batch, self._grey)

    @cached_property
    def _parts(self) -> tuple[Source | ShardStream, Source | None]:
        if isinstance(self.source, ShardStream):
            if self.held_out:
                raise DataError(
                    f"held_out must be 0 for a stream of shards, got {self.held_out}: give the "
                    "validation split as shards of its own"
                )
            return self.source, None
        self.source.check(self.image_size)
        return self.source.split(self.held_out)

    @property
    def _rank(self) -> int:
        return self.trainer.global_rank if self.trainer else 0

    @property
    def _ranks(self) -> int:
        return self.trainer.world_size if self.trainer else 1

    def _images_seen(self) -> int:
        module = self.trainer.lightning_module if self.trainer else None
        return int(getattr(module, "images_seen", 0))

    def _local_batch_size(self) -> int:
        if self.batch_size % self._ranks:
            raise DataError(
                f"the global batch_size must be a multiple of the {self._ranks} processes, got "
                f"{self.batch_size}"
            )
        return self.batch_size // self._ranks

    @cached_property
    def _positions(self) -> GlobalBatches:
        return GlobalBatches(self.batch_size, self._rank, self._ranks)

    @cached_property
    def _training_loader(self) -> DataLoader:
        source = self._parts[0]
        assert isinstance(source, Source)
        stream = TrainingStream(source, self.image_size, self.seed, self.flip, self.unusable.limit)
        return self._loader(
            stream, sampler=self._positions, persistent_workers=self.num_workers > 0
        )

    def _begin(self, position: int) -> Iterator[Batch]:
        self._positions.start = position
        return receive_all(self._training_loader, self.unusable)

    def _begin_stream(self, position: int) -> Iterator[Batch]:
        assert isinstance(self.source, ShardStream)
        shards = self.source.shards_of(self._rank, self._ranks, self.num_workers)
        key = (self.seed, position, self._rank)
        local = self._local_batch_size()
        draws = StreamDraws(
            self.source, shards, self.image_size, local, self.flip, key, self.unusable.limit
        )
        first = position + self._rank * local
        return receive_stream(self._loader(draws), self.unusable, count(first, self.batch_size))

    def _pass(self, part: Source | ShardStream, images: int | None) -> PassLoader:
        if isinstance(part, ShardStream):
            if images is not None:
                raise DataError(
                    "a stream of shards cannot be subsampled at random: leave out the number of images"
                )
            shards = part.shards()[self._rank :: self._ranks]
            one_pass = StreamPass(
                part, shards, self.image_size, self.eval_batch_size, self.unusable.limit
            )
            return PassLoader(self._loader(one_pass), self.unusable, self._grey)
        places = OnePass(part, self.image_size, images)
        batches = cut(share(places.images, self._rank, self._ranks), self.eval_batch_size)
        return PassLoader(self._loader(places, sampler=batches), self.unusable, self._grey)

    def _loader(self, dataset: Dataset, **options: Any) -> DataLoader:
        return DataLoader(
            dataset,
            batch_size=None,
            num_workers=self.num_workers,
            collate_fn=_as_it_is,
            pin_memory=torch.cuda.is_available(),
            multiprocessing_context=self._start_method if self.num_workers else None,
            worker_init_fn=leave_signals_to_trainer,
            **options,
        )

    def _numbers(self, images: int) -> NumberLoader | list[Any]:
        if 0 < images < self._ranks:
            raise DataError(
                f"the number of images to sample must be at least the {self._ranks} processes, got "
                f"{images}"
            )
        # Lightning takes an empty list for "no validation".
        return (
            NumberLoader(cut(share(images, self._rank, self._ranks), self.eval_batch_size))
            if images
            else []
        )


def _as_it_is(fetched: Any) -> Any:
    return fetched


def _check_least(least: int, **numbers: int) -> None:
    for name, number in numbers.items():
        if number < least:
            raise DataError(f"{name} must be at least {least}, got {number}")
