"""How fast a run learns, and how far it has come."""

import time
from typing import Any

import lightning as L
import torch
from typing_extensions import override

from wavelight.systems import ImageGenerator


class Throughput(L.Callback):
    """Logs ``images_seen``, the x-axis of every plot, and ``images_per_second`` over all processes.

    The rate is over the batches since the last log, validation left out. The clock is read where
    the trainer logs and so waits for the device anyway; no batch waits for it.
    """

    def __init__(self) -> None:
        self._since = 0.0
        self._images_then = 0

    @override
    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if not self._since:
            self._start_clock(pl_module)

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
        # Float32 would round a count over 16 million.
        pl_module.log("images_seen", torch.tensor(pl_module.images_seen, dtype=torch.float64))
        self._start_clock(pl_module)

    @override
    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._since = 0.0

    @override
    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._since = 0.0

    def _start_clock(self, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, ImageGenerator)
        self._since = time.perf_counter()
        self._images_then = pl_module.images_seen
