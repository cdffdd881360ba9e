"""Supervision: a thread that ends a process of several with a sentence, once another one is gone."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import wait
from typing import Any

import lightning as L
import torch.distributed as dist
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch.distributed.constants import default_pg_timeout

from wavelight.support.private_names import timeout_of
from wavelight.training.attendance import TICK_SECONDS, Attendance
from wavelight.training.roll_call import Meeting, NeverCameError, Roll, call_the_roll

_PATIENCE_SECONDS = 50.0
"""The roll call waits so long where the strategy has no timeout of its own: a minute, less the time to say and end."""

_VERDICT_SECONDS = 45.0
"""After a failed collective, whose fault it is is known by then."""

_LEAVING_SECONDS = 60.0
"""Processes of one job end within so long of each other."""

_FAULT_SECONDS = 5.0
"""A process with a fault waits so long to be spoken of."""

_GRACE_SECONDS = 5.0
"""The main thread has so long to end by itself, once another process is gone; in a collective it never would."""

_FAILED = 1


class LostRankError(RuntimeError):
    """Another process of the job is gone, or never came; standard error has the sentence already."""


class Supervision:
    """Watches over the processes of a trainer, from the roll call until all have left.

    One process alone has nothing of this.

    Args:
        trainer: Whose.
        before_end: Called before the process is ended from the thread.
    """

    def __init__(self, trainer: L.Trainer, before_end: Callable[[], None]) -> None:
        self._trainer = trainer
        self._before_end = before_end
        self._watches_in: int | None = None
        self._watch: _Watch | None = None
        strategy = trainer.strategy
        if isinstance(strategy, DDPStrategy):
            announced = partial(self._set_up, strategy, strategy.setup_environment)
            # Between the start of processes and their first collective Lightning calls nothing else.
            setattr(strategy, "setup_environment", announced)  # noqa: B010

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch over what is called in this context.

        Raises:
            LostRankError: If another process is gone, in place of the fault that this brought here.
        """
        self._watches_in = os.getpid()
        try:
            yield
        except NeverCameError as error:
            _say(str(error))
            raise LostRankError(str(error)) from None
        except SIGTERMException:
            self._leave(None)
            raise
        except BaseException as error:
            self._blame_others(error)
            self._leave(f"{type(error).__name__}: {str(error).partition(os.linesep)[0]}")
            raise
        else:
            self._leave(None)
        finally:
            self._watches_in = None
            if self._watch is not None:
                self._watch.close()
                self._watch = None

    def _set_up(self, strategy: DDPStrategy, set_up: Callable[[], None]) -> None:
        # Processes that were forked or spawned have left the context behind.
        if self._watches_in == os.getpid() and self._watch is None:
            strategy.set_world_ranks()
            meeting = _meeting(strategy)
            if meeting.ranks > 1:
                self._watch = _Watch(call_the_roll(meeting), self._standing, self._end)
        set_up()

    def _standing(self) -> str:
        if self._trainer.state.fn != TrainerFn.FITTING:
            return ""
        batches = getattr(self._trainer.lightning_module, "batches_seen", 0)
        return f"; that was after {batches} batches: go on with --ckpt_path last"

    def _blame_others(self, error: BaseException) -> None:
        if self._watch is not None and _is_of_a_collective(error):
            sentence = self._watch.whose_fault()
            if sentence is not None:
                raise LostRankError(sentence) from error

    def _leave(self, fault: str | None) -> None:
        if self._watch is not None:
            self._watch.leave(fault)

    def _end(self) -> None:
        # In a thread: a file system that is gone may neither fail nor keep this process.
        leaving = threading.Thread(target=self._before_end, name="before-end", daemon=True)
        leaving.start()
        leaving.join(_GRACE_SECONDS)
        launcher = self._trainer.strategy.launcher
        if launcher is not None:
            launcher.kill(signal.SIGKILL)
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(_FAILED)


def _meeting(strategy: DDPStrategy) -> Meeting:
    environment, timeout = strategy.cluster_environment, timeout_of(strategy)
    assert environment is not None
    own = timeout is not None and timeout != default_pg_timeout
    return Meeting(
        environment.main_address,
        environment.main_port,
        environment.global_rank(),
        environment.world_size(),
        timeout.total_seconds() if own and timeout else _PATIENCE_SECONDS,
    )


def _is_of_a_collective(error: BaseException) -> bool:
    """Return whether an error tells of a collective that failed, as it does where another process is gone."""
    return isinstance(error, dist.DistError) or (
        isinstance(error, RuntimeError) and "gloo" in str(error)
    )


def _say(sentence: str) -> None:
    sys.stderr.write(f"wavelight: {sentence}\n")
    sys.stderr.flush()


class _Watch:
    """The thread that drives an attendance.

    Args:
        roll: Who came.
        standing: Returns the words that end a sentence: how far the run is, and how to go on with it.
        end: Ends the process.
    """

    def __init__(self, roll: Roll, standing: Callable[[], str], end: Callable[[], None]) -> None:
        self._roll = roll
        self._attendance = Attendance(roll, standing, _say)
        self._end = end
        self._lock = threading.Lock()
        self._main_ends = False
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="attendance", daemon=True)
        self._thread.start()

    def whose_fault(self) -> str | None:
        """Return the sentence about the process that is gone, once it was said; None if all are there."""
        with self._lock:
            self._main_ends = True
            self._attendance.cut_off()
        self._wait(lambda: self._attendance.said, _VERDICT_SECONDS)
        return self._attendance.sentence

    def leave(self, fault: str | None) -> None:
        """Leave the others, and wait until they have noticed.

        Args:
            fault: The fault that ends this process, None in peace.
        """
        with self._lock:
            self._main_ends = True
            self._attendance.leave(fault)
        self._wait(lambda: self._attendance.may_go, _FAULT_SECONDS if fault else _LEAVING_SECONDS)
        with self._lock:
            self._attendance.let_go()

    def close(self) -> None:
        """End the thread, and hang up."""
        self._done.set()
        self._thread.join()
        for line in self._attendance.lines.values():
            line.close()

    def _wait(self, condition: Callable[[], bool], seconds: float) -> None:
        until = time.monotonic() + seconds
        while not condition() and time.monotonic() < until:
            time.sleep(TICK_SECONDS / 10)

    def _run(self) -> None:
        next_tick = time.monotonic() + TICK_SECONDS
        while not self._done.is_set():
            with self._lock:
                lines: dict[Any, int] = {
                    line: rank for rank, line in self._attendance.lines.items()
                }
            heard = wait([*lines], max(0.0, next_tick - time.monotonic()))
            with self._lock:
                for line in heard:
                    self._attendance.hear(lines[line])
                if time.monotonic() >= next_tick:
                    next_tick = time.monotonic() + TICK_SECONDS
                    self._attendance.tick()
                if (
                    not self._main_ends
                    and self._attendance.ticks_since > _GRACE_SECONDS / TICK_SECONDS
                ):
                    self._end()
