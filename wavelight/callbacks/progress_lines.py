"""Progress in the log file of a job, which has no terminal for a progress bar."""

import math
import sys
import time
from datetime import timedelta
from typing import Any

import lightning as L
from typing_extensions import override

from wavelight.support.progress import tell
from wavelight.systems import ImageGenerator


class ProgressLines(L.Callback):
    """Prints a line on stderr every so often, where that is no terminal, on the first process.

    In training how many images were seen, images a second over all processes and the time left, evaluations
    included; in evaluations and sampling the batch and the time left. No batch waits for the device.

    Args:
        seconds: Between two lines; none prints none.

    Raises:
        ValueError: If ``seconds`` is negative.
    """

    def __init__(self, seconds: float | None = 60.0) -> None:
        if seconds is not None and seconds < 0:
            raise ValueError(f"seconds between lines of progress must be at least 0, got {seconds}")
        self.seconds = seconds
        self._training = _Pace()
        self._evaluation = _Pace()
        self._has_begun = False
        self._told_at = 0.0
        self._rate_since = 0.0
        self._images_then = 0

    @override
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._has_begun = False

    @override
    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, *rest: Any
    ) -> None:
        # Not before: other callbacks measure the untrained network first.
        if not self._has_begun:
            self._has_begun = True
            self._training = _Pace()
            self._start_rate(pl_module)

    @override
    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        self._training.count()
        if not self._is_due(trainer):
            return
        assert isinstance(pl_module, ImageGenerator)
        images, seconds = pl_module.images_seen, time.monotonic() - self._rate_since
        rate = float(f"{(images - self._images_then) / seconds:.3g}")
        words = [f"{images:,} images", f"{rate:,g} images/s"]
        epoch = f"epoch {trainer.current_epoch + 1}"
        if trainer.max_epochs is not None and trainer.max_epochs > 0:
            epoch += f" of {trainer.max_epochs}"
            rest = trainer.max_epochs - trainer.current_epoch
            left = rest * trainer.num_training_batches - batch_idx - 1
            words += self._training.time_left(left)
        self._tell([epoch, *words])
        self._start_rate(pl_module)

    @override
    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._start_evaluation()

    @override
    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._start_rate(pl_module)

    @override
    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._start_evaluation()

    @override
    def on_predict_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._start_evaluation()

    @override
    def on_validation_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, *rest: Any
    ) -> None:
        self._count("validation", trainer.num_val_batches, trainer)

    @override
    def on_test_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, *rest: Any
    ) -> None:
        self._count("test", trainer.num_test_batches, trainer)

    @override
    def on_predict_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, *rest: Any
    ) -> None:
        self._count("sampling", trainer.num_predict_batches, trainer)

    def _start_rate(self, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, ImageGenerator)
        # Neither is a line due at once: its rate would be of one batch.
        self._told_at = self._rate_since = time.monotonic()
        self._images_then = pl_module.images_seen

    def _start_evaluation(self) -> None:
        self._evaluation = _Pace()
        self._told_at = self._told_at or time.monotonic()

    def _count(self, name: str, batches: list[int | float], trainer: L.Trainer) -> None:
        self._evaluation.count()
        if self._is_due(trainer):
            done, total = self._evaluation.batches, sum(batches)
            self._tell(
                [f"{name} batch {done} of {total}", *self._evaluation.time_left(total - done)]
            )

    def _is_due(self, trainer: L.Trainer) -> bool:
        return (
            self.seconds is not None
            and time.monotonic() - self._told_at >= self.seconds
            and trainer.is_global_zero
            and not sys.stderr.isatty()
        )

    def _tell(self, words: list[str]) -> None:
        tell(", ".join(words))
        self._told_at = time.monotonic()


class _Pace:
    """Tells from the batches of this process so far how long others will take."""

    def __init__(self) -> None:
        self.batches = 0
        self._since = time.monotonic()

    def count(self) -> None:
        self.batches += 1

    def time_left(self, batches: float) -> list[str]:
        """Say how long so many batches will take; nothing of batches without end."""
        if math.isinf(batches):
            return []
        seconds = (time.monotonic() - self._since) / self.batches * batches
        return [f"{timedelta(seconds=round(seconds))} left"]
