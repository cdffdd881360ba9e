"""Callbacks that let one process of a job fail."""

import time

import lightning as L


class FailOn(L.Callback):
    """Raises an error on one process.

    Args:
        rank: Of the process.
    """

    def __init__(self, rank: int) -> None:
        self.rank = rank

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_rank == self.rank and pl_module.batches_seen == 2:
            raise RuntimeError("a fault for a test")


class HangOn(FailOn):
    """Waits for ever on one process, whose threads live on."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_rank == self.rank and pl_module.batches_seen == 2:
            time.sleep(10_000)
