"""A small run as a cluster would start it, to be stopped at any moment and gone on with."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import torch

from tests.places import ROOT, TINY
from wavelight.weights import TRAINING_KEY, read_checkpoint

HANG_SECONDS = 600
"""A process that has not ended so long after it was told to counts as hung."""

OPTIONS = {
    "--trainer.max_epochs": 4,
    "--trainer.limit_train_batches": 12,
    "--trainer.check_val_every_n_epoch": 2,
    "--data.val_images": 64,
    "--data.eval_batch_size": 8,
    "--evaluation.reference_images": 64,
    "--data.num_workers": 1,
    "--last.every_n_batches": 5,
    "--pictures.images": 4,
}
"""Epochs with and without an evaluation, saves between, pictures, a worker."""


class Ended(NamedTuple):
    """How a process ended."""

    code: int | None
    """None where it hung, and was killed."""

    output: str

    @property
    def traceback(self) -> bool:
        """Whether it printed one."""
        return "Traceback (most recent call last)" in self.output


class Started:
    """A run of one process or two, in a group of its own."""

    def __init__(self, folder: Path, ranks: int, *more: str) -> None:
        self.folder = folder
        command = [sys.executable, "-m", "wavelight", "fit", "--config", str(TINY)]
        command += [f"{option}={value}" for option, value in OPTIONS.items()]
        command += ["--trainer.default_root_dir", str(folder), "--ckpt_path", "last", *more]
        if ranks > 1:
            command += ["--trainer.devices", str(ranks), "--trainer.strategy", "ddp"]
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(ROOT),
            "XDG_CACHE_HOME": str(folder.parent / "cache"),
        }
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder.parent / f"{folder.name}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def pids(self) -> list[int]:
        """Return the processes of the ranks, the first one first; workers of data loaders are none."""
        found = [self.process.pid]
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                environ, pid = path.read_bytes(), int(path.parent.name)
                parent = int((path.parent / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError):
                continue
            if parent == self.process.pid and b"LOCAL_RANK=1" in environ:
                found.append(pid)
        return found

    def wait_until(self, begun: bool, seconds: float) -> None:
        """Wait until training has begun, if asked, and some time more, or until the process ends."""
        limit = time.monotonic() + HANG_SECONDS
        metrics = self.folder / "metrics.csv"
        size = metrics.stat().st_size if metrics.exists() else 0
        while begun and self.process.poll() is None and time.monotonic() < limit:
            if metrics.exists() and metrics.stat().st_size != size:
                break
            time.sleep(0.02)
        until = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < until:
            time.sleep(0.01)

    def send(self, number: signal.Signals, whom: str) -> None:
        """Send a signal to ``one`` rank, to all ``ranks``, or to the ``group``, workers of data loaders included."""
        pids = [-self.process.pid] if whom == "group" else self.pids()
        for pid in [random.choice(pids)] if whom == "one" else pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def end(self, seconds: float = HANG_SECONDS) -> Ended:
        """Wait for the end; whatever is left of its group then is killed."""
        try:
            code: int | None = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            code = None
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        return Ended(code, self.log.read_text(errors="replace"))


def same_weights(one: Path, other: Path) -> bool:
    """Return whether the last checkpoints of two runs hold the same weights, averaged and not, after as many images."""
    first, second = (read_checkpoint(path / "checkpoints" / "last.ckpt") for path in (one, other))
    return first["wavelight_progress"] == second["wavelight_progress"] and all(
        torch.equal(tensor, second[part][name])
        for part in ("state_dict", TRAINING_KEY)
        for name, tensor in first[part].items()
    )
