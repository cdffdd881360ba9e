"""SGM and WSGM on two processes: what one process would have learnt, and going on with another number."""

import pytest
import torch
import yaml

from tests.processes import fit_apart
from wavelight.checkpoints.published import experiment_config

pytestmark = pytest.mark.ddp

ONE = ("--trainer.devices", "1")
TWO = ("--trainer.devices", "2", "--trainer.strategy", "ddp")


def narrowed(folder, name):
    """Write an experiment of two epochs of two batches with narrow networks, and steepest descent for their optimizer.

    Adam would make whole steps of what is rounding in gradients that are nearly zero.
    """
    config = yaml.safe_load(experiment_config(name))
    parts = config["model"]["init_args"]
    for model in (parts[key] for key in ("model", "coarse", "details") if key in parts):
        network = model["init_args"]["network"]["init_args"]
        network |= {"width": 8, "multipliers": [1], "attention_resolutions": [], "heads": 1}
        optimizer = {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.1}}
        model["init_args"]["optimizer"] = optimizer
    config["trainer"] = {
        "accelerator": "cpu",
        "max_epochs": 2,
        "limit_train_batches": 2,
        "enable_progress_bar": False,
    }
    config["data"] |= {"batch_size": 8, "held_out": 0, "val_images": 0}
    config["data"]["source"]["init_args"]["images"] = 32
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.mark.parametrize("name", ["demo_sgm", "demo_wsgm"])
def test_one_process_two_and_a_change_between_them_learn_the_same(tmp_path, name):
    config = narrowed(tmp_path, name)
    one = fit_apart(tmp_path / "one", [config], *ONE)
    two = fit_apart(tmp_path / "two", [config], *TWO)
    fit_apart(tmp_path / "mixed", [config], *TWO, "--trainer.max_epochs", "1")
    mixed = fit_apart(tmp_path / "mixed", [config], *ONE, "--ckpt_path", "last")
    for other in (two, mixed):
        assert other["wavelight_progress"] == one["wavelight_progress"]
        for key, tensor in one["state_dict"].items():
            torch.testing.assert_close(other["state_dict"][key], tensor, atol=1e-6, rtol=0)
