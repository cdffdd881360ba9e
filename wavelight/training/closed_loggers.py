"""Loggers that stay closed until a run may begin."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lightning as L
from lightning.pytorch.loggers import Logger
from lightning.pytorch.loggers.logger import DummyLogger
from typing_extensions import override


class ClosedLogger(DummyLogger):
    """Stands in for a logger, has its name and folder, and opens and logs nothing.

    Args:
        logger: The other.
    """

    def __init__(self, logger: Logger) -> None:
        super().__init__()
        self.logger = logger

    @property
    @override
    def name(self) -> Any:
        return self.logger.name

    @property
    @override
    def version(self) -> Any:
        return self.logger.version

    @property
    @override
    def save_dir(self) -> str | None:
        return self.logger.save_dir

    @property
    @override
    def log_dir(self) -> str | None:
        return self.logger.log_dir


@contextmanager
def closed(trainer: L.Trainer) -> Iterator[None]:
    """Keep the loggers of a trainer closed inside this context, until :func:`open_loggers`.

    Lightning opens loggers before it looks at data and configuration, so that a refused command would leave a run in
    W&B.
    """
    own = trainer.loggers
    trainer.loggers = [ClosedLogger(logger) for logger in own]
    try:
        yield
    finally:
        trainer.loggers = own


def open_loggers(trainer: L.Trainer) -> None:
    """Give a trainer its own loggers back, whose first use opens them."""
    trainer.loggers = [
        logger.logger if isinstance(logger, ClosedLogger) else logger for logger in trainer.loggers
    ]
