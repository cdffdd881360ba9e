"""Processes of one job, each started as a cluster starts it, on a host of its own so far as Lightning knows."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from lightning.fabric.plugins.environments.lightning import find_free_network_port

from tests.places import ROOT, TINY

LIMIT_SECONDS = 120
"""No test waits longer for anything."""

ENDLESS = ["--trainer.max_epochs", "10000", "--trainer.limit_train_batches", "4"]


def patient(timeout):
    """Return the strategy with a timeout, as an option takes it."""
    return json.dumps({"class_path": "DDPStrategy", "init_args": {"timeout": timeout}})


class Ranks:
    """A run of processes that share a folder.

    Args:
        folder: Of the run; their output lies beside it.
        ranks: Which of them come.
        of: How many the job wants.
        options: Of the command.
        timeout: Of the strategy, None for its own.
    """

    def __init__(self, folder, *options, ranks=(0, 1), of=2, timeout=None):
        self.folder = Path(folder)
        self.processes, self._logs = {}, {}
        port = find_free_network_port()
        words = [sys.executable, "-m", "tests.impatient", "fit", "--config", TINY, *options]
        words += ["--trainer.default_root_dir", folder, "--trainer.num_nodes", of]
        words += ["--trainer.strategy", patient(timeout) if timeout else "ddp"]
        for rank in ranks:
            environment = {
                **os.environ,
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
                "NODE_RANK": str(rank),
                "OMP_NUM_THREADS": "1",
                "PYTHONPATH": str(ROOT),
                "XDG_CACHE_HOME": str(self.folder.parent / "cache"),
            }
            self._logs[rank] = self.folder.parent / f"{self.folder.name}.{rank}.log"
            with self._logs[rank].open("w") as log:
                self.processes[rank] = subprocess.Popen(
                    [str(word) for word in words],
                    cwd=ROOT,
                    env=environment,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        for process in self.processes.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def wait_for_training(self):
        """Wait until the first batches are recorded."""
        metrics, until = self.folder / "metrics.csv", time.monotonic() + LIMIT_SECONDS
        while not (metrics.exists() and len(metrics.read_text().splitlines()) > 3):
            ended = {rank: process.poll() for rank, process in self.processes.items()}
            assert set(ended.values()) == {None}, [self.output(rank) for rank in ended]
            assert time.monotonic() < until
            time.sleep(0.05)

    def send(self, rank, number):
        """Send a signal to one process, and return when that was."""
        self.processes[rank].send_signal(number)
        return time.monotonic()

    def code(self, rank, seconds=LIMIT_SECONDS):
        """Return the exit code of a process, for which it waits."""
        return self.processes[rank].wait(seconds)

    def output(self, rank):
        """Return what a process has said."""
        return self._logs[rank].read_text(errors="replace")

    def sentences(self, rank):
        """Return the sentences that wavelight has written."""
        lines = self.output(rank).splitlines()
        return [line for line in lines if line.startswith("wavelight: ")]
