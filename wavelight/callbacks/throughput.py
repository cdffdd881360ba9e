"""How fast a run learns, how far it has come, and how long devices have worked for it."""

import time
from typing import Any

import lightning as L
from typing_extensions import override

from wavelight.systems import ImageGenerator

DEVICE_HOURS_KEY = "wavelight_device_hours"
"""Key of a checkpoint's hours of training, times the devices that took part."""

_SECONDS_AN_HOUR = 3600


class Throughput(L.Callback):
    """Logs ``images_per_second`` over all processes, and keeps ``device_hours``: hours of training times devices.

    Both are without validation and pictures; saving inside an epoch counts. Hours are part of every row of logs, as
    ``images_seen`` is, and of checkpoints, from where they go on, on whatever devices. The rate is over the batches
    since the last log; the clock is read where the trainer logs and so waits for the device anyway: no batch waits for
    it.
    """

    def __init__(self) -> None:
        self._since = 0.0
        self._images_then = 0
        self._hours = 0.0
        self._hours_since = 0.0
        self._devices = 1

    @property
    def device_hours(self) -> float:
        """Hours of training so far, times the devices that took part."""
        running = time.perf_counter() - self._hours_since if self._hours_since else 0.0
        return self._hours + running * self._devices / _SECONDS_AN_HOUR

    @override
    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, ImageGenerator)
        self._hours_since = 0.0
        if pl_module.images_seen == 0:
            self._hours = 0.0

    @override
    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if not self._since:
            self._start_clock(pl_module)
        if not self._hours_since:
            self._hours_since, self._devices = time.perf_counter(), trainer.world_size

    @override
    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        assert isinstance(pl_module, ImageGenerator)
        if (batch_idx + 1) % trainer.log_every_n_steps:  # type: ignore[attr-defined]
            return
        images = pl_module.images_seen - self._images_then
        rate = images / (time.perf_counter() - self._since)
        pl_module.log("images_per_second", rate, prog_bar=True)
        self._start_clock(pl_module)

    @override
    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._stop_hours()

    @override
    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._since = 0.0

    @override
    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._since = 0.0

    @override
    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._stop_hours()

    @override
    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint[DEVICE_HOURS_KEY] = self.device_hours

    @override
    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._hours, self._hours_since = checkpoint.get(DEVICE_HOURS_KEY, 0.0), 0.0

    def _start_clock(self, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, ImageGenerator)
        self._since = time.perf_counter()
        self._images_then = pl_module.images_seen

    def _stop_hours(self) -> None:
        self._hours, self._hours_since = self.device_hours, 0.0
