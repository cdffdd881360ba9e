"""A process that dies, hangs, fails or never comes ends the others soon, by one sentence that names it."""

import re
import signal
import time

import pytest
import yaml

from tests.ranks import ENDLESS, Ranks

pytestmark = pytest.mark.ddp

WITHIN_SECONDS = 30
"""Of the time until the others have ended, which is short here; two busy cores need some of it."""


def unlucky(folder, callback, rank):
    """Return options that give a run a callback of tests.unlucky."""
    more = folder / "more.yaml"
    entry = {"class_path": f"tests.unlucky.{callback}", "init_args": {"rank": rank}}
    more.write_text(yaml.safe_dump({"trainer": {"callbacks+": [entry]}}))
    return ["--config", more]


def assert_names(ranks, rank, *, lost, sentence):
    """Check that a process has failed by a single sentence on another one, and by no traceback."""
    assert ranks.code(rank) == 1, ranks.output(rank)
    assert len(ranks.sentences(rank)) == 1, ranks.output(rank)
    (said,) = ranks.sentences(rank)
    assert re.match(rf"wavelight: rank {lost} \(\S+, process {ranks.processes[lost].pid}\)", said)
    assert sentence in said
    assert "Traceback" not in ranks.output(rank)


@pytest.mark.parametrize("lost", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_a_process_that_is_killed_is_named(tmp_path, lost):
    with Ranks(tmp_path / "run", *ENDLESS) as ranks:
        ranks.wait_for_training()
        began = ranks.send(lost, signal.SIGKILL)
        assert_names(ranks, 1 - lost, lost=lost, sentence="died without a word")
        assert time.monotonic() - began < WITHIN_SECONDS


@pytest.mark.parametrize("lost", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_process_that_is_frozen_is_named(tmp_path, lost):
    with Ranks(tmp_path / "run", *ENDLESS) as ranks:
        ranks.wait_for_training()
        began = ranks.send(lost, signal.SIGSTOP)
        assert_names(ranks, 1 - lost, lost=lost, sentence="has not been heard of for 3 seconds")
        assert time.monotonic() - began < WITHIN_SECONDS
        # Awake again, it finds the others gone.
        ranks.send(lost, signal.SIGCONT)
        assert ranks.code(lost) == 1


@pytest.mark.parametrize("lost", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_a_process_with_a_fault_of_its_own_shows_it_and_is_named(tmp_path, lost):
    with Ranks(tmp_path / "run", *unlucky(tmp_path, "FailOn", lost), *ENDLESS) as ranks:
        assert_names(
            ranks, 1 - lost, lost=lost, sentence="ended with RuntimeError: a fault for a test"
        )
        assert ranks.code(lost) == 1
        assert "RuntimeError: a fault for a test" in ranks.output(lost)
        assert "Traceback" in ranks.output(lost)
        assert ranks.sentences(lost) == []


@pytest.mark.slow
@pytest.mark.parametrize("lost", [0, 1])
def test_a_process_that_hangs_alive_is_named_once_the_timeout_is_over(tmp_path, lost):
    options = [*unlucky(tmp_path, "HangOn", lost), *ENDLESS]
    with Ranks(tmp_path / "run", *options, timeout="0:00:20") as ranks:
        assert_names(ranks, 1 - lost, lost=lost, sentence="hangs: the others waited for it")
        assert ranks.code(lost) == 1


@pytest.mark.parametrize("lost", [0, 1])
def test_a_process_that_never_comes_is_named(tmp_path, lost):
    with Ranks(tmp_path / "run", ranks=[1 - lost], timeout="0:00:02") as ranks:
        assert ranks.code(1 - lost) == 1
        (said,) = ranks.sentences(1 - lost)
        assert said.startswith(f"wavelight: rank {lost} of 2 never came to 127.0.0.1:")
        assert "waited 2 seconds" in said
        assert "Traceback" not in ranks.output(1 - lost)
        assert "frame #" not in ranks.output(1 - lost)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_job_that_is_stopped_says_nothing_of_the_kind_and_all_fail_likewise(tmp_path, number):
    with Ranks(tmp_path / "run", *ENDLESS) as ranks:
        ranks.wait_for_training()
        ranks.send(1, number)
        assert [ranks.code(rank) for rank in (0, 1)] == [128 + number] * 2
        assert ranks.sentences(0) + ranks.sentences(1) == []
        assert "Traceback" not in ranks.output(0) + ranks.output(1)


def test_signals_that_follow_the_first_one_change_nothing(tmp_path):
    """SLURM sends SIGUSR1 and then SIGTERM, Kubernetes SIGTERM to each process and again."""
    with Ranks(tmp_path / "run", *ENDLESS) as ranks:
        ranks.wait_for_training()
        ranks.send(0, signal.SIGUSR1)
        while any(process.poll() is None for process in ranks.processes.values()):
            for rank in (0, 1):
                ranks.send(rank, signal.SIGTERM)
            time.sleep(0.02)
        # SIGTERM may come before all have agreed on the first.
        assert {ranks.code(rank) for rank in (0, 1)} <= {128 + signal.SIGUSR1, 128 + signal.SIGTERM}
        assert (tmp_path / "run" / "checkpoints" / "last.ckpt").exists()


@pytest.mark.slow
def test_a_job_that_comes_to_its_end_says_nothing(tmp_path):
    with Ranks(tmp_path / "run") as ranks:
        assert [ranks.code(rank) for rank in (0, 1)] == [0, 0]
        assert ranks.sentences(0) + ranks.sentences(1) == []
