"""Runs of a sweep as processes, several at a time."""

import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter, sleep
from typing import Any

from wavelight.support.progress import tell
from wavelight.training.sweep_file import SweepRun

_SIGNALLED = 128
"""What a shell adds to the number of the signal that ended a command."""


_GLANCE = 0.2
"""Seconds between two looks at what runs."""


# --- running ---


class _Signals:
    """Which signal told this process to stop, if one did."""

    def __init__(self) -> None:
        self.received: int | None = None

    def _receive(self, number: int, frame: Any) -> None:
        self.received = number

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Note SIGINT, SIGTERM and SIGHUP in place of what they do."""
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, self._receive) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class _Process:
    """A run under way.

    Args:
        run: The run, whose log is continued.
    """

    def __init__(self, run: SweepRun) -> None:
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
                # A group of its own, so that Ctrl-C comes once, from here.
                process_group=0,
            )

    @property
    def ended(self) -> bool:
        """Whether it has."""
        return self._process.poll() is not None

    @property
    def succeeded(self) -> bool:
        """Whether it has, and left all that was wanted."""
        return self._process.returncode == 0 and self.run.finished

    def stop(self) -> None:
        """Let it finish its batch, save and end; it is told once."""
        if not self._stopped:
            self._stopped = True
            self._process.terminate()

    def tell(self) -> None:
        """Say in one line how it ended."""
        code = self._process.returncode
        minutes = f"{(perf_counter() - self._begun) / 60:.1f} minutes"
        if self.succeeded:
            tell(f"{self.run}: finished after {minutes}")
        elif self._stopped:
            tell(f"{self.run}: stopped after {minutes}")
        else:
            why = f"with exit code {code}" if code else "before its last epoch"
            tell(f"{self.run}: ended after {minutes} {why}, see {self.run.log}")


def train_runs(runs: list[SweepRun], jobs: int) -> list[SweepRun]:
    """Run all, so many at a time, and return those that failed; a signal stops them, and then this process."""
    waiting, failed = list(runs), list[SweepRun]()
    running: list[_Process] = []
    signals = _Signals()
    with signals.watched():
        while running or (waiting and signals.received is None):
            while waiting and len(running) < jobs and signals.received is None:
                tell(f"{waiting[0]}: begins")
                running.append(_Process(waiting.pop(0)))
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
        tell("Stopped; the same command goes on from there.")
        sys.exit(_SIGNALLED + signals.received)
    return failed
