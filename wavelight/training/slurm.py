"""Jobs of SLURM that are put back into the queue, so that they go on later."""

import os
import subprocess

from lightning.fabric.plugins.environments import SLURMEnvironment
from lightning.pytorch.strategies import Strategy
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn


def requeue_after(number: int | None, strategy: Strategy) -> None:
    """Put this job of SLURM back into the queue, if a signal that asks for it has stopped it.

    ``#SBATCH --signal=USR1@120`` sends SIGUSR1, 120 seconds before the job's time is over. A job that SLURM itself
    preempts or that a person cancels is left to SLURM. ``SLURMEnvironment(auto_requeue=False)`` among the trainer's
    plugins turns it off.

    Args:
        number: The signal that stopped the run, None where none did.
        strategy: Of the trainer.
    """
    environment = getattr(strategy, "cluster_environment", None)
    if not isinstance(environment, SLURMEnvironment):
        environment = SLURMEnvironment() if SLURMEnvironment.detect() else None
    if environment is None or not environment.auto_requeue or number != environment.requeue_signal:
        return
    job = _job()
    done = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True, check=False)
    if done.returncode:
        rank_zero_warn(f"SLURM did not requeue job {job}: {done.stderr.strip()}")
    else:
        rank_zero_info(f"SLURM has requeued job {job}.")


def _job() -> str:
    """Return the number of this job; of an array, with that of the task."""
    if "SLURM_ARRAY_JOB_ID" in os.environ:
        return f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    return os.environ["SLURM_JOB_ID"]
