"""SLURM on this machine: a controller and two nodes, in a folder of their own."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from lightning.fabric.plugins.environments.lightning import find_free_network_port

LIMIT_SECONDS = 300

_DAEMONS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "scancel")

_CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
KillWait=10
GresTypes=gpu
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
NodeName=node1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=1 RealMemory=2000
NodeName=node2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=1 RealMemory=2000
PartitionName=all Nodes=node1,node2 Default=YES MaxTime=INFINITE State=UP
"""


def skip_without_slurm() -> pytest.MarkDecorator:
    """Return a mark that skips tests where SLURM is not installed, with the reason."""
    path = f"{os.environ['PATH']}:/usr/sbin"
    missing = [name for name in _DAEMONS if shutil.which(name, path=path) is None]
    if os.geteuid():
        missing = ["root"]
    return pytest.mark.skipif(
        bool(missing), reason=f"`make test-slurm` installs {', '.join(missing) or 'SLURM'}"
    )


class Slurm:
    """A cluster of two nodes.

    Args:
        folder: Of its configuration, state and logs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
        self.environment["PATH"] += ":/usr/sbin"
        self._daemons: list[subprocess.Popen] = []

    def start(self) -> None:
        """Start the daemons, and wait until both nodes are ready."""
        (self.folder / "state").mkdir()
        for node in ("node1", "node2"):
            (self.folder / f"spool.{node}").mkdir()
        ports = [find_free_network_port() for _ in range(3)]
        conf = _CONF.format(host=socket.gethostname(), folder=self.folder, ports=ports)
        (self.folder / "slurm.conf").write_text(conf)
        (self.folder / "gres.conf").write_text("")
        (self.folder / "munge.key").write_bytes(os.urandom(128))
        (self.folder / "munge.key").chmod(0o400)
        files = {"socket": "socket", "key-file": "key", "pid-file": "pid", "log-file": "log"}
        words = [f"--{name}={self.folder}/munge.{end}" for name, end in files.items()]
        self._run("munged", "--foreground", "--force", *words, f"--seed-file={self.folder}/seed")
        self._run("slurmctld", "-D")
        for node in ("node1", "node2"):
            self._run("slurmd", "-D", "-N", node)
        self._wait(lambda: self.ask("sinfo", "-h", "-o", "%t %D").strip() == "idle 2", "nodes")

    def stop(self) -> None:
        """End all jobs, and stop the daemons, the last first."""
        self.ask("scancel", "--user=root", "--full")
        self._wait(lambda: not self.ask("squeue", "-h"), "jobs to end")
        for daemon in reversed(self._daemons):
            daemon.send_signal(signal.SIGTERM)
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()

    def ask(self, *words: str) -> str:
        """Run a command of SLURM, and return what it prints; nothing where it fails."""
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True)
        return done.stdout if done.returncode == 0 else ""

    def submit(self, folder: Path, *words: str, **variables: str) -> str:
        """Submit a job from a folder, and return its number."""
        done = subprocess.run(
            ["sbatch", "--parsable", *words],
            cwd=folder,
            env={**self.environment, **variables},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def state(self, job: str) -> str:
        """Return the state of a job, or of a task of an array."""
        return _field("JobState", self.ask("scontrol", "-o", "show", "job", job))

    def restarts(self, job: str) -> int:
        """Return how often a job was put back into the queue."""
        return int(_field("Restarts", self.ask("scontrol", "-o", "show", "job", job)) or 0)

    def hurry(self, job: str) -> None:
        """Wait until a job runs that was put back into the queue, for which SLURM itself waits two minutes."""

        def runs() -> bool:
            self.ask("scontrol", "update", f"jobid={job}", "StartTime=now")
            return self.state(job) in ("RUNNING", "COMPLETED")

        self._wait(runs, f"{job} to run again")

    def wait_for(self, job: str, *states: str) -> str:
        """Wait until a job is in one of some states, and return it."""
        self._wait(lambda: self.state(job) in states, f"{job} {states}")
        return self.state(job)

    def wait_until(self, condition, what: str) -> None:
        """Wait for something that a job is to do."""
        self._wait(condition, what)

    def _run(self, name: str, *words: str) -> None:
        with (self.folder / f"{name}.out").open("a") as log:
            self._daemons.append(
                subprocess.Popen([name, *words], env=self.environment, stdout=log, stderr=log)
            )

    def _wait(self, condition, what: str) -> None:
        until = time.monotonic() + LIMIT_SECONDS
        while not condition():
            assert time.monotonic() < until, f"{what}: {self.ask('squeue')}{self.ask('sinfo')}"
            time.sleep(0.2)


def _field(name: str, shown: str) -> str:
    found = re.search(rf"\b{name}=(\S+)", shown)
    return found[1] if found else ""


@contextmanager
def cluster(folder: Path) -> Iterator[Slurm]:
    """Start a cluster in a folder, and stop it."""
    slurm = Slurm(folder)
    try:
        slurm.start()
        yield slurm
    finally:
        slurm.stop()
