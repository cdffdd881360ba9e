"""The command ``fit`` in a process of its own, as tests of several processes need it."""

import os
import subprocess
import sys

import torch

from tests.places import ROOT


def fit_apart(folder, configs, *options):
    """Run ``fit`` with these files and options, and return the run's last checkpoint."""
    command = [sys.executable, "-m", "wavelight", "fit"]
    for config in configs:
        command += ["--config", config]
    command += ["--trainer.default_root_dir", folder, *options]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
        "XDG_CACHE_HOME": str(folder.parent / "cache"),
    }
    done = subprocess.run(
        [str(word) for word in command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
