"""Workers outlive signals that were sent to all processes of a job, and end with their parent's SIGTERM."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest

from data_modules.workers import leave_signals_to_trainer
from tests.places import ROOT

pytestmark = pytest.mark.skipif(
    not hasattr(signal, "sigwaitinfo"), reason="the system does not tell who sent a signal"
)


def wait(ready):
    leave_signals_to_trainer(0)
    ready.set()
    time.sleep(60)


@pytest.fixture
def worker():
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    process = context.Process(target=wait, args=(ready,), daemon=True)
    process.start()
    assert ready.wait(60)
    yield process
    process.kill()


def test_signals_to_a_group_leave_workers_alone(worker):
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        os.kill(worker.pid, number)
    for _ in range(2):
        subprocess.run(["/bin/kill", "-TERM", str(worker.pid)], check=True)
    worker.join(0.2)
    assert worker.is_alive()


def test_the_training_process_ends_a_worker_at_once(worker):
    worker.terminate()
    worker.join(10)
    assert worker.exitcode == 0


SCRIPT = """
from torch.utils.data import DataLoader
from data_modules.workers import leave_signals_to_trainer
loader = DataLoader(range(64), num_workers=1, persistent_workers=True, worker_init_fn=leave_signals_to_trainer)
kept = iter(loader)
next(kept)
"""


@pytest.mark.slow
def test_a_process_that_ends_waits_for_no_worker():
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", SCRIPT], check=True, timeout=120, env=environment)
