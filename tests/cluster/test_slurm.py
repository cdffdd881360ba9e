"""experiments/cluster/slurm.sbatch under a real SLURM: two seeds on two nodes, one of them preempted in the middle."""

import shutil
import sys
from pathlib import Path

import pytest

from tests.places import EXPERIMENTS, ROOT, TINY
from tests.processes import fit_apart
from tests.runs import assert_same_run, last
from tests.slurm import cluster, skip_without_slurm

pytestmark = [pytest.mark.slurm, pytest.mark.slow, skip_without_slurm()]

LENGTH = ["--trainer.max_epochs", "12", "--trainer.limit_train_batches", "8"]
SMALL = ["--ntasks-per-node=1", "--cpus-per-task=1", "--gpus-per-node=0", "--time=0:30:00"]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    with cluster(tmp_path_factory.mktemp("slurm")) as slurm:
        yield slurm


@pytest.fixture
def submit(slurm, tmp_path):
    """Submits the shipped file, for two processes on two nodes, from a folder of its own."""
    shutil.copytree(EXPERIMENTS, tmp_path / "experiments")
    shutil.copy(TINY, tmp_path / "tiny.yaml")

    def submitted(*words):
        return slurm.submit(
            tmp_path,
            *SMALL,
            *words,
            "experiments/cluster/slurm.sbatch",
            "tiny.yaml",
            *LENGTH,
            PATH=f"{Path(sys.executable).parent}:{slurm.environment['PATH']}",
            PYTHONPATH=str(ROOT),
            OMP_NUM_THREADS="1",
            # The names of these nodes are in no list of hosts.
            MASTER_ADDR="127.0.0.1",
            XDG_CACHE_HOME=str(tmp_path / "cache"),
        )

    return submitted


def log(folder, job):
    return next(folder.glob(f"*-{job}.log")).read_text()


def untouched(folder, seed):
    """The last checkpoint of a run of two processes that SLURM never saw."""
    options = [*LENGTH, "--seed_everything", str(seed)]
    return fit_apart(
        folder, [TINY], *options, "--trainer.devices", "2", "--trainer.strategy", "ddp"
    )


def test_a_preempted_seed_goes_on_and_ends_as_one_that_was_never_touched(slurm, submit, tmp_path):
    array = submit("--array=1-2")
    first, second = f"{array}_1", f"{array}_2"
    metrics = tmp_path / "runs" / "tiny" / "seed-1" / "metrics.csv"
    slurm.wait_until(
        lambda: metrics.exists() and len(metrics.read_text().splitlines()) > 3, "training"
    )
    slurm.ask("scancel", "--signal=USR1", first)
    slurm.wait_until(lambda: slurm.restarts(first) == 1, "a restart")
    slurm.hurry(first)
    for job in (first, second):
        slurm.wait_for(job, "COMPLETED", "FAILED", "CANCELLED", "NODE_FAIL")
        assert slurm.state(job) == "COMPLETED", log(tmp_path, job)
    said = log(tmp_path, first)
    assert f"SLURM has requeued job {first}." in said
    assert "Stopped after a whole batch" in said
    assert "Traceback" not in said
    assert slurm.restarts(second) == 0
    for seed in (1, 2):
        run = tmp_path / "runs" / "tiny" / f"seed-{seed}"
        assert_same_run(last(run), untouched(tmp_path / f"untouched-{seed}", seed))
        assert not (run / "run.lock").exists()
