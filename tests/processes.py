"""Commands of the trainer in processes of their own, as tests of several processes need them."""

import os
import subprocess
import sys

import torch

from tests.places import ROOT


def run_apart(method, folder, configs, *options):
    """Run a method of the trainer with these files and options in a run's folder, and return the finished process."""
    command = [sys.executable, "-m", "wavelight", method]
    for config in configs:
        command += ["--config", config]
    command += ["--trainer.default_root_dir", folder, *options]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
        "XDG_CACHE_HOME": str(folder.parent / "cache"),
    }
    return subprocess.run(
        [str(word) for word in command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


def fit_apart(folder, configs, *options):
    """Run ``fit`` with these files and options, and return the run's last checkpoint."""
    done = run_apart("fit", folder, configs, *options)
    assert done.returncode == 0, done.stderr[-3000:]
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
