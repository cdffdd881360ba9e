"""experiments/cluster/pytorchjob.yaml: its pods agree with each other, and its command runs on two of them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from lightning.fabric.plugins.environments.lightning import find_free_network_port

from tests.places import EXPERIMENTS, ROOT, TINY

JOB = yaml.safe_load((EXPERIMENTS / "cluster" / "pytorchjob.yaml").read_text())
REPLICAS = JOB["spec"]["pytorchReplicaSpecs"]
CONTAINER = REPLICAS["Master"]["template"]["spec"]["containers"][0]


def options():
    return dict(word.removeprefix("--").split("=", 1) for word in CONTAINER["args"])


def test_pods_nodes_and_gpus_agree():
    assert (JOB["apiVersion"], JOB["kind"]) == ("kubeflow.org/v1", "PyTorchJob")
    pods = sum(replica["replicas"] for replica in REPLICAS.values())
    given = options()
    assert int(given["trainer.num_nodes"]) == pods == 2
    gpus = CONTAINER["resources"]["limits"]["nvidia.com/gpu"]
    assert gpus == int(given["trainer.devices"]) == int(JOB["spec"]["nprocPerNode"])
    # The operator looks for a container of this name.
    assert CONTAINER["name"] == "pytorch"


def test_every_pod_is_started_again_and_all_share_the_folder_of_the_run():
    master, worker = REPLICAS["Master"], REPLICAS["Worker"]
    assert worker["restartPolicy"] == master["restartPolicy"] == "OnFailure"
    assert worker["template"] == master["template"]
    folder = Path(options()["trainer.default_root_dir"])
    mounts = {Path(each["mountPath"]): each["name"] for each in CONTAINER["volumeMounts"]}
    volumes = {each["name"]: each for each in master["template"]["spec"]["volumes"]}
    assert "persistentVolumeClaim" in volumes[mounts[folder.parent]]
    assert set(mounts.values()) == volumes.keys()


def environment(pod, port, folder):
    """What the operator sets in a pod of two with a process each, and what the test needs."""
    return {
        **os.environ,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
        "RANK": str(pod),
        "PET_MASTER_ADDR": "127.0.0.1",
        "PET_MASTER_PORT": str(port),
        "PET_NNODES": "2",
        "PET_NODE_RANK": str(pod),
        "PET_NPROC_PER_NODE": "1",
        "PYTHONPATH": str(ROOT),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
        "XDG_CACHE_HOME": str(folder / "cache"),
    }


@pytest.mark.ddp
@pytest.mark.slow
def test_its_command_trains_on_two_pods(tmp_path):
    changed = {
        "--config=experiments/church.yaml": f"--config={TINY}",
        "--trainer.devices=4": "--trainer.devices=1",
        "--trainer.default_root_dir=/runs/church": f"--trainer.default_root_dir={tmp_path / 'run'}",
    }
    assert changed.keys() <= {*CONTAINER["args"]}
    words = [*CONTAINER["command"], *(changed.get(word, word) for word in CONTAINER["args"])]
    port = find_free_network_port()
    pods = [
        subprocess.Popen(
            words,
            cwd=ROOT,
            env=environment(pod, port, tmp_path),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for pod in range(2)
    ]
    try:
        for pod in pods:
            said, _ = pod.communicate(timeout=120)
            assert pod.returncode == 0, said
    finally:
        for pod in pods:
            pod.kill()
            pod.wait()
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").exists()
