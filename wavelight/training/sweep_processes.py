"""Runs of a sweep as processes, several at a time."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter, sleep
from typing import Any

import torch

from wavelight.support.progress import tell
from wavelight.training.sweep_file import SweepRun

_SIGNALLED = 128
"""A shell adds this to the number of the signal that ended a command."""


_GLANCE = 0.2
"""Seconds between two polls of the running processes."""


class _Signals:
    """The signal that was sent to stop this process, if one was."""

    def __init__(self) -> None:
        self.received: int | None = None

    def _receive(self, number: int, frame: Any) -> None:
        self.received = number

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Note SIGINT, SIGTERM and SIGHUP inside this context; they have no other effect."""
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, self._receive) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class _Process:
    """A run in a process of its own.

    Args:
        run: The run; its output is appended to its log.
        environment: Its environment variables.
    """

    def __init__(self, run: SweepRun, environment: Mapping[str, str]) -> None:
        self.run = run
        self._stopped = False
        self._begun = perf_counter()
        run.folder.mkdir(parents=True, exist_ok=True)
        with run.log.open("a") as log:
            log.write(f"$ {shlex.join(['python', *run.command])}\n")
            log.flush()
            self._process = subprocess.Popen(
                [sys.executable, *run.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                # A group of its own, so that Ctrl-C comes once, from here.
                process_group=0,
            )

    @property
    def ended(self) -> bool:
        """Whether the process has ended."""
        return self._process.poll() is not None

    @property
    def succeeded(self) -> bool:
        """Whether the process has ended without error, and its run has seen all its batches."""
        return self._process.returncode == 0 and self.run.finished

    def stop(self) -> None:
        """Send SIGTERM, once: the run finishes its batch, saves and ends."""
        if not self._stopped:
            self._stopped = True
            self._process.terminate()

    def tell(self) -> None:
        """Print in one line how the process ended."""
        code = self._process.returncode
        minutes = f"{(perf_counter() - self._begun) / 60:.1f} minutes"
        if self.succeeded:
            tell(f"{self.run}: finished after {minutes}")
        elif self._stopped:
            tell(f"{self.run}: stopped after {minutes}")
        else:
            why = f"with exit code {code}" if code else "before its last epoch"
            tell(f"{self.run}: ended after {minutes} {why}, see {self.run.log}")


def shared_cores(jobs: int) -> dict[str, str]:
    """Return the environment of each of several jobs, which share the cores where ``OMP_NUM_THREADS`` is not given.

    Two jobs of as many threads as there are cores would each wait for the other's.

    Args:
        jobs: How many run at a time.
    """
    # PyTorch's own number is of the cores that this process may use, as in a job of a cluster.
    threads = max(torch.get_num_threads() // jobs, 1)
    return {**({"OMP_NUM_THREADS": str(threads)} if jobs > 1 else {}), **os.environ}


def train_runs(runs: list[SweepRun], jobs: int) -> list[SweepRun]:
    """Train runs, at most ``jobs`` at a time, and return those that failed; a signal stops all, and this process."""
    environment = shared_cores(jobs)
    waiting, failed = list(runs), list[SweepRun]()
    running: list[_Process] = []
    signals = _Signals()
    with signals.watched():
        while running or (waiting and signals.received is None):
            while waiting and len(running) < jobs and signals.received is None:
                tell(f"{waiting[0]}: begins")
                running.append(_Process(waiting.pop(0), environment))
            if signals.received is not None:
                for process in running:
                    process.stop()
            for process in [each for each in running if each.ended]:
                running.remove(process)
                process.tell()
                if not process.succeeded:
                    failed.append(process.run)
            sleep(_GLANCE)
    if signals.received is not None:
        tell("Stopped; the same command continues.")
        sys.exit(_SIGNALLED + signals.received)
    return failed
