"""Loggers that stop no training, and say of each row where the run stood."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.loggers import CSVLogger, Logger, WandbLogger

from wavelight.callbacks import Throughput
from wavelight.callbacks.ema_decays import weights_of
from wavelight.support.faults import GoingOn
from wavelight.systems import ImageGenerator

_METHODS = (
    "log_metrics",
    "log_hyperparams",
    "log_graph",
    "save",
    "finalize",
    "after_save_checkpoint",
)


def let_faults_pass(loggers: Iterable[Logger]) -> None:
    """Let faults of the machine pass in what a trainer calls of loggers, with one warning for each logger.

    Args:
        loggers: Of any class. What is called of their ``experiment`` is not among it.
    """
    for logger in loggers:
        going_on = GoingOn(
            f"logging by {type(logger).__name__}", "what could not be logged may be missing"
        )
        for name in _METHODS:
            setattr(logger, name, partial(_call, getattr(logger, name), going_on))


def log_places(trainer: L.Trainer) -> None:
    """Let every row of a trainer's loggers say ``images_seen`` and ``device_hours``, and name the checkpoint it is of.

    Args:
        trainer: Of any loggers; those of files and of W&B alone take a name.
    """
    for logger in trainer.loggers:
        log = partial(_log, trainer, logger, logger.log_metrics)
        setattr(logger, "log_metrics", log)  # noqa: B010 (a method is none to be assigned, by mypy)


def _log(
    trainer: L.Trainer,
    logger: Logger,
    log_metrics: Callable[..., None],
    metrics: Mapping[str, Any],
    step: int | None = None,
) -> None:
    system = trainer.lightning_module
    row = dict(metrics)
    if isinstance(system, ImageGenerator):
        row.setdefault("images_seen", system.images_seen)
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, Throughput):
                row["device_hours"] = callback.device_hours
        if trainer.state.fn != "fit":
            # Lightning counts from 0 there.
            step = system.batches_seen
            row.pop("epoch", None)
            if trainer.ckpt_path and isinstance(logger, CSVLogger | WandbLogger):
                row["checkpoint"] = weights_of(trainer, Path(trainer.ckpt_path).name)
    log_metrics(row, step)


def _call(method: Callable[..., Any], going_on: GoingOn, *args: Any, **options: Any) -> Any:
    with going_on.despite_faults():
        return method(*args, **options)
