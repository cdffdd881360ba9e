"""How signals stop a run: the handler notes one, all processes agree at the end of a batch, and the run is saved."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lightning as L
import torch
import torch.distributed as dist
from typing_extensions import override

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
"""The signals that stop a run: of batch systems, of Ctrl-C, of a closed terminal, of SLURM's warning."""

_OUT_OF_TIME = 1
_FIRST_SIGNAL = 2
"""What processes tell each other: nothing (0), that the time is over, or a signal's number and 2 more."""

_IMPATIENT_SECONDS = 1.0
"""Ctrl-C again after so long stops at once; sooner, a launcher has passed on the same one."""


class Signals:
    """Stands in for the part of Lightning's Trainer that handles signals.

    Lightning's own handler lets processes talk to each other in the middle of a batch, where they are talking
    already, and hangs; under SLURM it saves between the steps of two networks. This one only notes. Before
    training and in ``test`` or ``predict``, where there is nothing to save, a signal ends the process at once.

    Args:
        trainer: Whose.

    Attributes:
        received_sigterm: Whether all processes have agreed to stop; Lightning's loops leave where they see it.
        agreed: What they have agreed on: 0 for nothing.
        ends_process: Whether the process ends with a run that was stopped or failed, as a command does: batch systems
            send a second signal, which is ignored then rather than handled as before the run.
    """

    def __init__(self, trainer: L.Trainer) -> None:
        self.received_sigterm = False
        self.agreed = 0
        self.ends_process = False
        self._trainer = trainer
        self._noted = 0
        self._noted_at = 0.0
        self._waits_for_batch = False
        self._stops = False
        self._held = False
        self._before: dict[int, Any] = {}
        self._process = 0

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Handle signals in this context, also behind the end that Lightning knows."""
        self.register_signal_handlers()
        self._held, self._stops = True, False
        failed = True
        try:
            yield
            failed = False
        finally:
            self._held = False
            self._give_back(ignoring=failed and self.ends_process)

    def register_signal_handlers(self) -> None:
        """Handle signals from now on; Lightning calls it once the trainer is set up, the trainer earlier."""
        self.received_sigterm = False
        # Python lets only the main thread choose what a signal does.
        if threading.current_thread() is not threading.main_thread() or self._before:
            return
        self._process = os.getpid()
        self._before = {number: signal.signal(number, self._handle) for number in STOPPING}

    def teardown(self) -> None:
        """Give signals back the handlers that they had; Lightning calls it, while a run may yet have to be requeued."""
        if not self._held:
            self._give_back(ignoring=False)

    def _give_back(self, ignoring: bool) -> None:
        self._waits_for_batch = False
        if threading.current_thread() is threading.main_thread():
            for number, handler in self._before.items():
                # Ctrl-C stays, for somebody who waits at a terminal.
                ignored = ignoring and number != signal.SIGINT
                signal.signal(number, signal.SIG_IGN if ignored else handler)
        self._before = {}

    def wait_for_batches(self, waits: bool) -> None:
        """Let signals wait for the end of a batch from now on, or end the process at once."""
        self._waits_for_batch = waits

    def note(self, value: int) -> None:
        """Ask to stop at the end of this batch."""
        self._noted = max(self._noted, value)

    @property
    def noted(self) -> int:
        """What this process wants: 0 for nothing."""
        return self._noted

    def agree(self, value: int) -> None:
        """Take what all processes have agreed on; other than 0, they stop."""
        if value:
            self.agreed = value
            self.received_sigterm = self._stops = True

    @property
    def signal_number(self) -> int | None:
        """The signal that stopped the run, None where the time was over or nothing stopped it."""
        return self.agreed - _FIRST_SIGNAL if self.agreed >= _FIRST_SIGNAL else None

    def _handle(self, number: int, frame: Any) -> None:
        if os.getpid() != self._process:
            return  # a process that was forked with this handler, such as a worker of a data loader
        if not self._waits_for_batch and not self._stops:
            self._end_at_once(number)
        if number == signal.SIGINT and self._noted and self._is_impatient():
            self._end_at_once(number)
        if not self._noted:
            self._noted_at = time.monotonic()
        self.note(number + _FIRST_SIGNAL)

    def _is_impatient(self) -> bool:
        return time.monotonic() - self._noted_at > _IMPATIENT_SECONDS

    def _end_at_once(self, number: int) -> None:
        self.agreed, self._stops = number + _FIRST_SIGNAL, True
        launcher = self._trainer.strategy.launcher
        if launcher is not None:
            launcher.kill(number)
        raise StoppedAtOnceError(
            f"Stopped by {signal.Signals(number).name}; there was nothing to save."
        )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_before": {}}


class StoppedAtOnceError(SystemExit):
    """A signal ended a process that had nothing to save."""


class Agreement:
    """Lets processes learn of each other's values without waiting for each other.

    What a call returns is what all gave in the call before: by then it has long arrived. An answer of the same call
    would hold up each batch, as Lightning's broadcast does.

    Args:
        device: Of the process's computations.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._together = dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
        self._pending: tuple[torch.Tensor, Any] | None = None
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def exchange(self, value: int) -> int:
        """Give a value, and return the largest that any process gave in the call before; alone, the value itself.

        Collective: all processes must call it equally often.
        """
        if not self._together:
            return value
        answer = self._answer()
        given = torch.tensor([value], device=self._device)
        self._pending = (given, dist.all_reduce(given, dist.ReduceOp.MAX, async_op=True))
        return answer

    def _answer(self) -> int:
        if self._pending is None:
            return 0
        given, work = self._pending
        if self._stream is None:
            work.wait()
            return int(given)
        # On a stream of its own: on the default one the host would wait for this batch, too.
        with torch.cuda.stream(self._stream):
            work.wait()
            return int(given)


class StopAtBatchEnd(L.Callback):
    """Stops a run at the end of a batch, of training or of validation, once a signal came or its time is over.

    Args:
        signals: Of the trainer.
        seconds: How long the process may train; None for ever.
    """

    def __init__(self, signals: Signals, seconds: float | None) -> None:
        self.signals = signals
        self.seconds = seconds
        self._began = time.monotonic()

    @override
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._began = time.monotonic()
        self._agreement = Agreement(trainer.strategy.root_device)
        self.signals.wait_for_batches(True)

    @override
    def on_train_batch_end(self, *arguments: Any) -> None:
        if self.seconds is not None and time.monotonic() - self._began > self.seconds:
            self.signals.note(_OUT_OF_TIME)
        self._agree()

    @override
    def on_validation_batch_end(self, trainer: L.Trainer, *arguments: Any) -> None:
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._agree()

    def _agree(self) -> None:
        self.signals.agree(self._agreement.exchange(self.signals.noted))

    @override
    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.signals.wait_for_batches(False)
