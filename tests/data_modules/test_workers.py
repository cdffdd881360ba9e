"""Workers outlive signals that were sent to all processes of a job, and end with their parent's SIGTERM."""

import multiprocessing
import os
import signal
import time

import pytest

from data_modules.workers import leave_signals_to_trainer


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


def test_signals_to_a_group_leave_workers_alone_and_a_second_sigterm_ends_them(worker):
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGTERM):
        os.kill(worker.pid, number)
    worker.join(0.2)
    assert worker.is_alive()
    worker.terminate()
    worker.join(10)
    assert worker.exitcode == 0
