"""Workers of a data loader, which leave signals to the process that they read for."""

import os
import signal
import sys
from typing import Any

_SHARED = (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)


def leave_signals_to_trainer(worker: int) -> None:
    """Let a worker outlive signals that were sent to all processes of a job.

    SLURM and terminals send them to workers, too. The training process finishes its batch and saves, and for that it
    must not lose a worker: PyTorch would raise an error in the middle of the batch.

    Args:
        worker: Its number.
    """
    for number in _SHARED:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _Termination(os.getppid()))


class _Termination:
    """Ends a worker at the second SIGTERM, or where its parent is gone: PyTorch itself sends one to end a worker."""

    def __init__(self, parent: int) -> None:
        self._parent = parent
        self._received = False

    def __call__(self, number: int, frame: Any) -> None:
        if self._received or os.getppid() != self._parent:
            sys.exit(0)
        self._received = True
