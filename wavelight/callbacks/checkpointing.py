"""When a run is saved: at the end of every epoch, now and then inside, when it is best, and when it is stopped."""

import signal
import threading
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities.exceptions import SIGTERMException
from typing_extensions import override

from wavelight.systems import ImageGenerator

FOLDER = "checkpoints"


class BestCheckpoint(ModelCheckpoint):
    """Keeps the best checkpoint by one metric, as ``checkpoints/best.ckpt`` of the run's folder.

    Args:
        monitor: The metric's name in the logs, such as ``val/fid10k``.
        mode: Whether the best is the ``min`` or the ``max``.
    """

    def __init__(self, monitor: str, mode: str = "min") -> None:
        super().__init__(
            filename="best",
            monitor=monitor,
            mode=mode,
            auto_insert_metric_name=False,
            enable_version_counter=False,
            # At the end of the epoch, when schedules have moved on: a run can go on from this file,
            # too.
            save_on_train_epoch_end=True,
        )

    @override
    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        self.dirpath = _folder(trainer)
        super().setup(trainer, pl_module, stage)

    @override
    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # Between evaluations the metric is an old one, which must not pass for this epoch's.
        if _evaluates_after(trainer.current_epoch, trainer) and any(trainer.num_val_batches):
            super().on_train_epoch_end(trainer, pl_module)


class LastCheckpoint(ModelCheckpoint):
    """Keeps the newest checkpoint as ``checkpoints/last.ckpt`` of the run's folder, for ``--ckpt_path last``.

    It is written at the end of every epoch, when a signal stops the run (Ctrl-C, or SIGTERM as batch
    systems send it: the current batch is finished first), and, if asked, between. A new run in the folder
    of an earlier one, which would overwrite its last checkpoint, is refused.

    Args:
        every_n_batches: Batches between two saves inside an epoch; None saves at its end only.
    """

    def __init__(self, every_n_batches: int | None = None) -> None:
        super().__init__(
            filename="last", enable_version_counter=False, save_on_train_epoch_end=True
        )
        if every_n_batches is not None and every_n_batches < 1:
            raise ValueError(f"every_n_batches must be at least 1, got {every_n_batches}")
        self.every_n_batches = every_n_batches

    @override
    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        self.dirpath = _folder(trainer)
        super().setup(trainer, pl_module, stage)

    @override
    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, ImageGenerator)
        path = _last_path(trainer)
        if pl_module.images_seen == 0 and path.exists() and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            raise ValueError(
                f"trainer.default_root_dir must not be the folder of an earlier run, got one with {path}; "
                "continue that run with --ckpt_path last, or name another folder"
            )

    @override
    def _find_last_checkpoints(self, trainer: L.Trainer) -> set[str]:
        # Lightning looks for "last" before it calls setup, which sets our folder.
        path = _last_path(trainer)
        return {str(path)} if path.exists() else set()

    @override
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        # Python lets only the main thread choose what a signal does.
        if threading.current_thread() is threading.main_thread():
            self._interrupt_before = signal.getsignal(signal.SIGINT)
            signal.signal(signal.SIGINT, self._stop_politely)

    def _stop_politely(self, signum: int, frame: Any) -> None:
        """Treat Ctrl-C as SIGTERM, for which Lightning finishes the batch; a second Ctrl-C stops at once."""
        signal.signal(signal.SIGINT, self._interrupt_before)
        signal.raise_signal(signal.SIGTERM)

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
        if self.every_n_batches and pl_module.batches_seen % self.every_n_batches == 0:
            self._save(trainer)

    @override
    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        # Other exceptions come in the middle of a batch, when not all networks have made their step.
        if isinstance(exception, SIGTERMException):
            self._save(trainer)
        self._restore_interrupt()

    @override
    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        super().on_train_end(trainer, pl_module)
        self._restore_interrupt()

    def _restore_interrupt(self) -> None:
        if hasattr(self, "_interrupt_before"):
            signal.signal(signal.SIGINT, self._interrupt_before)

    def _save(self, trainer: L.Trainer) -> None:
        if not trainer.fast_dev_run:  # type: ignore[attr-defined]
            trainer.save_checkpoint(_last_path(trainer), weights_only=False)


def _evaluates_after(epoch: int, trainer: L.Trainer) -> bool:
    every = trainer.check_val_every_n_epoch
    return trainer.enable_validation and (every is None or (epoch + 1) % every == 0)


def _folder(trainer: L.Trainer) -> str:
    return str(Path(trainer.default_root_dir) / FOLDER)


def _last_path(trainer: L.Trainer) -> Path:
    return Path(_folder(trainer)) / "last.ckpt"
