"""The speed and the operations of the training that ``fit`` runs, on random images.

A Trainer drives the system's own training step, with its optimizers and an EMA, in the precision that a run
would name, but without what a run does between batches: no data are read, nothing is logged, validated or saved.
Every batch is the second of a run, see :class:`_SecondBatch`.
"""

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from math import nan
from tempfile import TemporaryDirectory
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from typing_extensions import override

from data_modules import statistics
from wavelight.callbacks import ExponentialMovingAverage
from wavelight.evaluation.timing import Precision, rounding
from wavelight.support.stopwatch import clock, seconds_of
from wavelight.systems import ImageGenerator
from wavelight.training.trainer import Trainer
from wavelight.wavelets import LevelStatistics, Split, dwt2

_MIXED = "bf16-mixed"
_FULL = "32-true"

_WARM_UPS = 2

_GRAPHS_A_FUNCTION = 64

_DECAY = 0.9999
"""Of the EMA; its time does not depend on it."""

Batch = Mapping[str, Tensor]


def compile_for_training(system: ImageGenerator, mode: str = "default") -> None:
    """Compile the networks that learn, in place, and forget what was compiled before.

    Args:
        system: The system.
        mode: Of ``torch.compile``.
    """
    # What was compiled before counts against a limit, and holds memory.
    torch.compiler.reset()
    torch.compiler.config.recompile_limit = _GRAPHS_A_FUNCTION
    for model in system.factor_models():
        for player in model.players().values():
            player.network.compile(mode=mode, dynamic=False)


def training_seconds(
    system: ImageGenerator, images: int, precision: Precision, warm_ups: int, repetitions: int
) -> float:
    """Return how long a training batch takes on average, when the next is started without waiting for it.

    Args:
        system: On the device that trains; it learns, and is left on the CPU.
        images: How many there are in a batch.
        precision: Of the networks.
        warm_ups: Batches before those that are measured.
        repetitions: Batches that are measured.
    """
    watch = _Between(partial(clock, system.device), warm_ups, warm_ups + repetitions - 1)
    _train(system, images, warm_ups + repetitions, precision, watch)
    return watch.difference / repetitions


def training_gflop(system: ImageGenerator, images: int) -> float:
    """Return 10^9 operations of the convolutions and products of a training batch: two a MAC.

    Args:
        system: It learns, and is left on the CPU.
        images: How many there are in the batch.
    """
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        tally = _Between(counter.get_total_flops, 0, 0)
        _train(system, images, 1, Precision.float32, tally)
    return tally.difference / 1e9


def training_in_turns(
    system: ImageGenerator,
    images: int,
    precision: Precision,
    turns: int,
    others: Mapping[str, Callable[[], object]],
) -> tuple[list[float], dict[str, list[float]]]:
    """Return the seconds of training batches, and of what is measured in turns with them.

    Args:
        system: It learns, and is left on the CPU.
        images: How many there are in a batch.
        precision: Of the networks.
        turns: How often each is measured, after two turns that warm up.
        others: Each is called once after every batch.

    Returns:
        The seconds of each batch, and those of each other's calls by its name.
    """
    watch = _Turns(others)
    # The EMA begins with a copy in the first, and is moved, for the first time, in the second.
    _train(system, images, turns + _WARM_UPS, precision, watch)
    return watch.batches[_WARM_UPS:], {
        name: seconds[_WARM_UPS:] for name, seconds in watch.others.items()
    }


def _train(
    system: ImageGenerator, images: int, batches: int, precision: Precision, watch: L.Callback
) -> None:
    device = system.device
    # A folder of its own, or a measurement would keep runs out of the working directory.
    with rounding(precision), _quiet(), TemporaryDirectory() as folder:
        trainer = Trainer(
            default_root_dir=folder,
            accelerator=device.type,
            devices=1 if device.index is None else [device.index],
            precision=_MIXED if precision is Precision.bfloat16 else _FULL,
            max_epochs=1,
            limit_train_batches=batches,
            limit_val_batches=0,
            callbacks=[_SecondBatch(), ExponentialMovingAverage(_DECAY), watch],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(system.train(), datamodule=_RandomImages(system, images, batches))


@contextmanager
def _quiet() -> Iterator[None]:
    # Lightning says each time what devices there are, and that nothing is validated.
    logger = logging.getLogger("lightning.pytorch")
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "You defined a `validation_step`")
            yield
    finally:
        logger.setLevel(before)


class _RandomImages(L.LightningDataModule):
    """One batch of random images, again and again, on the device that trains.

    Args:
        system: The system that trains.
        images: How many there are in the batch.
        batches: How often it comes.
    """

    def __init__(self, system: ImageGenerator, images: int, batches: int) -> None:
        super().__init__()
        self.channels = system.channels
        side = system.image_size
        image = torch.rand(images, self.channels, side, side, device=system.device) * 2 - 1
        self._batch = {"image": image, "index": torch.arange(images, device=system.device)}
        self._batches = batches

    @override
    def train_dataloader(self) -> DataLoader[Batch]:
        again: Any = [self._batch] * self._batches
        return DataLoader(again, batch_size=None)

    def band_statistics(
        self, bands: str, levels: int, split: Split | None = None
    ) -> list[LevelStatistics]:
        """Measure the bands of the batch, for factorizations that scale by them."""
        split = split or partial(dwt2, wavelet=bands)
        return statistics.measure([self._batch["image"]], self.channels, split, levels)


class _SecondBatch(L.Callback):
    """Lets every batch be the second of a run.

    The R1 penalty comes on the first, and then once in many batches: without it all batches are
    alike, and their operations are those of the networks' turns. Players that do not play on every
    batch rest on it, if they do not play on every other.
    """

    @override
    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, *args: Any
    ) -> None:
        assert isinstance(pl_module, ImageGenerator)
        pl_module.batches_seen = 1


class _Between(L.Callback):
    """Reads a meter at the start of one batch and at the end of another.

    Args:
        read: Reads the meter.
        first: The number of the one batch, from 0.
        last: The number of the other.
    """

    def __init__(self, read: Callable[[], float], first: int, last: int) -> None:
        self.difference = nan
        self._read = read
        self._first = first
        self._last = last
        self._begun = nan

    @override
    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx == self._first:
            self._begun = self._read()

    @override
    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        if batch_idx == self._last:
            self.difference = self._read() - self._begun


class _Turns(L.Callback):
    """Takes the time of each batch, and of a call of each other run after it.

    Args:
        others: The other runs, by name.
    """

    def __init__(self, others: Mapping[str, Callable[[], object]]) -> None:
        self.batches: list[float] = []
        self.others: dict[str, list[float]] = {name: [] for name in others}
        self._runs = others
        self._begun = nan

    @override
    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, *args: Any
    ) -> None:
        self._begun = clock(pl_module.device)

    @override
    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, *args: Any
    ) -> None:
        self.batches.append(clock(pl_module.device) - self._begun)
        for name, run in self._runs.items():
            self.others[name].append(seconds_of(pl_module.device, run))
