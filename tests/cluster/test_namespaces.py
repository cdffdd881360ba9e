"""experiments/cluster/torchrun.sh on two hosts: what it trains, and what becomes of it when the cable is cut."""

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests.namespaces import skip_without_namespaces, two_hosts
from tests.places import EXPERIMENTS, ROOT, TINY
from tests.processes import fit_apart
from tests.runs import assert_same_run, last

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.ddp, skip_without_namespaces()]


@contextmanager
def started(host, node, first, folder, *options):
    """Run the shipped script on a host, with its output in a file beside the run's folder."""
    script = str(EXPERIMENTS / "cluster" / "torchrun.sh")
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "XDG_CACHE_HOME": str(folder.parent / "cache"),
        "GLOO_SOCKET_IFNAME": host.interface,
        "NODES": "2",
        "GPUS": "1",
        "FIRST": first,
    }
    words = ["bash", script, str(node), str(TINY), "--trainer.default_root_dir", str(folder)]
    with (folder.parent / f"{node}.log").open("w") as log:
        process = subprocess.Popen(
            host.command(*words, *options),
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def job(hosts, folder, *options):
    with ExitStack() as stack:
        yield [
            stack.enter_context(started(host, node, hosts[0].address, folder, *options))
            for node, host in enumerate(hosts)
        ]


def output(folder, node):
    return (folder.parent / f"{node}.log").read_text()


def test_two_hosts_train_what_two_processes_of_one_do(tmp_path):
    apart = tmp_path / "apart"
    with two_hosts() as hosts, job(hosts, apart) as processes:
        for node, process in enumerate(processes):
            assert process.wait(120) == 0, output(apart, node)
    fit_apart(tmp_path / "here", [TINY], "--trainer.devices", "2", "--trainer.strategy", "ddp")
    assert_same_run(last(apart), last(tmp_path / "here"))
    assert (apart / "metrics.csv").exists()


def test_a_cable_that_is_cut_ends_both_hosts_within_a_minute_in_sentences(tmp_path):
    folder = tmp_path / "run"
    options = ["--trainer.max_epochs", "10000"]
    with two_hosts() as hosts, job(hosts, folder, *options) as processes:
        metrics, until = folder / "metrics.csv", time.monotonic() + 120
        while not (metrics.exists() and len(metrics.read_text().splitlines()) > 3):
            assert time.monotonic() < until, output(folder, 0)
            time.sleep(0.1)
        hosts[1].ip("link", "set", hosts[1].interface, "down")
        until = time.monotonic() + 60
        for node in (0, 1):
            while "wavelight: " not in output(folder, node):
                assert time.monotonic() < until, output(folder, node)
                time.sleep(0.1)
        for node, process in enumerate(processes):
            assert process.wait(max(0.1, until - time.monotonic())) != 0
            (said,) = [
                line for line in output(folder, node).splitlines() if line.startswith("wavelight: ")
            ]
            assert said.startswith(f"wavelight: rank {1 - node} (")
            assert "has not been heard of for 30 seconds" in said
