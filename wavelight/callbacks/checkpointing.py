"""When a run is saved: at the end of every epoch, now and then inside, when it is best, and when it is stopped."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.utilities.exceptions import SIGTERMException
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from typing_extensions import override

from wavelight.callbacks.evaluation import Evaluation
from wavelight.callbacks.unfinished_epoch import (
    as_before_evaluation,
    as_before_its_end,
    evaluates_after_batch,
)
from wavelight.checkpoints.run_files import BEST, FOLDER, LAST, run_files
from wavelight.support.errors import OptionError
from wavelight.support.files import remove_drafts
from wavelight.systems import ImageGenerator


class BestCheckpoint(Checkpoint):
    """Keeps the best checkpoint by one metric, as ``checkpoints/best.ckpt`` of the run's folder.

    It holds the weights that the evaluation measured: inside an epoch it is written behind the evaluation, and at its
    end when schedules have moved on, too. A run can go on from it. The best value is part of every checkpoint, so that
    a run that goes on, in whatever folder, remembers it.

    Args:
        monitor: The metric's name in the logs, such as ``val/fid10k``.
        mode: Whether the best is the ``min`` or the ``max``.

    Raises:
        ValueError: If ``mode`` is another.
        OptionError: In training, if nothing of that name was measured.

    Attributes:
        best: The best value so far, None before the first.
    """

    def __init__(self, monitor: str, mode: str = "min") -> None:
        if mode not in ("min", "max"):
            raise ValueError(f"best.mode must be min or max, got {mode}")
        self.monitor = monitor
        self.mode = mode
        self.best: float | None = None
        self._due: float | None = None

    @override
    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn != "fit" or trainer.sanity_checking or not any(trainer.num_val_batches):
            return
        value = self._value(trainer)
        if not self._is_better(value):
            return
        if trainer.is_last_batch:
            self._due = value
        else:
            self._save(trainer, value)

    @override
    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._due is not None:
            self._save(trainer, self._due)

    def _save(self, trainer: L.Trainer, value: float) -> None:
        self._due = None
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        before, self.best = self.best, value
        if not save_or_warn(trainer, _folder(trainer) / BEST):
            self.best = before

    @override
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # What the untrained network was measured by; the count of images stands behind each name.
        evaluations = [each for each in trainer.callbacks if isinstance(each, Evaluation)]  # type: ignore[attr-defined]
        names = {name for each in evaluations for _, values in each.history for name in values}
        if names and not any(name.startswith(self.monitor) for name in names):
            raise self._unknown(names)

    def _value(self, trainer: L.Trainer) -> float:
        if self.monitor not in trainer.callback_metrics:
            raise self._unknown(n for n in trainer.callback_metrics if n.startswith("val/"))
        return float(trainer.callback_metrics[self.monitor])

    def _unknown(self, names: Iterable[str]) -> OptionError:
        return OptionError(
            f"best.monitor must be a metric of the validation, got {self.monitor}; measured were: "
            f"{', '.join(sorted(names)) or 'none'}"
        )

    def _is_better(self, value: float) -> bool:
        if self.best is None or math.isnan(self.best):
            return True
        return value < self.best if self.mode == "min" else value > self.best

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"monitor": self.monitor, "best": self.best}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        # A value of another metric says nothing of this one.
        if state_dict["monitor"] == self.monitor:
            self.best = state_dict["best"]


class LastCheckpoint(Checkpoint):
    """Keeps the newest checkpoint as ``checkpoints/last.ckpt`` of the run's folder, for ``--ckpt_path last``.

    It is written at the end of every epoch, after all other callbacks, when a signal stops the run (the current
    batch is finished first, see :mod:`wavelight.training.signals`), and, if asked, between. The one before is kept
    as ``checkpoints/previous.ckpt``. A new run in the folder of an earlier one, which would overwrite its
    checkpoints, is refused. Where a file cannot be written, because the disk is full, say, a warning says so and
    training goes on, except at its end: the one before is untouched.

    Args:
        every_n_batches: Batches between two saves inside an epoch; None saves at its end only.
    """

    def __init__(self, every_n_batches: int | None = None) -> None:
        if every_n_batches is not None and every_n_batches < 1:
            raise ValueError(f"last.every_n_batches must be at least 1, got {every_n_batches}")
        self.every_n_batches = every_n_batches
        self._failed = False
        self._evaluated_at = 0

    @override
    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, ImageGenerator)
        found = run_files(Path(trainer.default_root_dir))
        if pl_module.images_seen == 0 and found and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            raise ValueError(
                f"trainer.default_root_dir must not be the folder of an earlier run, got one with {found[0]}; "
                "continue that run with --ckpt_path last, or name another folder"
            )
        if trainer.is_global_zero and _folder(trainer).exists():
            remove_drafts(_folder(trainer))

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
            self._save_or_warn(trainer)

    @override
    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._save_or_warn(trainer)

    @override
    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        # Other exceptions come in the middle of a batch, when not all networks have made their step.
        if isinstance(exception, SIGTERMException):
            self._save(trainer)

    @override
    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._failed:
            self._save(trainer)

    @override
    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        assert isinstance(pl_module, ImageGenerator)
        fit_loop = checkpoint["loops"]["fit_loop"]
        as_before_its_end(fit_loop)
        seen = pl_module.batches_seen
        if evaluates_after_batch(trainer, seen) and self._evaluated_at < seen:
            as_before_evaluation(fit_loop)

    @override
    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, ImageGenerator)
        self._evaluated_at = pl_module.batches_seen

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"evaluated_at": self._evaluated_at}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._evaluated_at = state_dict["evaluated_at"]

    def _save_or_warn(self, trainer: L.Trainer) -> None:
        if not trainer.fast_dev_run:  # type: ignore[attr-defined]
            self._failed = not save_or_warn(trainer, _folder(trainer) / LAST)

    def _save(self, trainer: L.Trainer) -> None:
        if not trainer.fast_dev_run:  # type: ignore[attr-defined]
            trainer.save_checkpoint(_folder(trainer) / LAST, weights_only=False)
            self._failed = False


def save_or_warn(trainer: L.Trainer, path: Path) -> bool:
    """Write a checkpoint, and tell whether it could be written, with a warning where it could not; collective.

    Args:
        trainer: In training.
        path: The file, which is untouched where another cannot take its place.
    """
    try:
        trainer.save_checkpoint(path, weights_only=False)
    except OSError as error:
        rank_zero_warn(f"{error}; training goes on, and tries again")
        return False
    return True


def _folder(trainer: L.Trainer) -> Path:
    return Path(trainer.default_root_dir) / FOLDER
