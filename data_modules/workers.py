"""Workers of a data loader, which leave signals to the process that they read for."""

import os
import signal
from threading import Thread

_SHARED = (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)


def leave_signals_to_trainer(worker: int) -> None:
    """Let a worker outlive signals that were sent to all processes of a job.

    SLURM and terminals send them to workers, too. The training process finishes its batch and saves, and for that it
    must not lose a worker: PyTorch would raise an error in the middle of the batch. SIGTERM from the training process
    itself ends a worker, as it does without this.

    Args:
        worker: Its number.
    """
    for number in _SHARED:
        signal.signal(number, signal.SIG_IGN)
    # Only those who wait for a signal learn who sent it; macOS has no such call, and workers end there.
    if hasattr(signal, "sigwaitinfo"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        Thread(target=_end_when_told, args=(os.getppid(),), daemon=True).start()


def _end_when_told(parent: int) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)
