"""Loggers that stop no training."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from lightning.pytorch.loggers import Logger

from wavelight.support.faults import GoingOn

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


def _call(method: Callable[..., Any], going_on: GoingOn, *args: Any, **options: Any) -> Any:
    with going_on.despite_faults():
        return method(*args, **options)
