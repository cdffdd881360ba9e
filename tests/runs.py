"""Runs of a test system: fitting it, its last checkpoint, and whether two runs are the same."""

import signal

import lightning as L
import torch

from tests.tiny import tiny_data, tiny_system, tiny_trainer
from wavelight.weights import TRAINING_KEY, read_checkpoint


class StopAt(L.Callback):
    """Sends a signal to this process after a number of batches, as a batch system does."""

    def __init__(self, batches, signum):
        self.batches = batches
        self.signum = signum

    def on_train_batch_end(self, trainer, pl_module, *rest):
        if pl_module.batches_seen == self.batches:
            signal.raise_signal(self.signum)


def fit(folder, *callbacks, ckpt_path=None, system=None, data=None, **changes):
    system, data = system or tiny_system(), data or tiny_data()
    trainer = tiny_trainer(folder, *callbacks, **changes)
    trainer.fit(system, datamodule=data, ckpt_path=ckpt_path)
    return system


def last(folder):
    return read_checkpoint(folder / "checkpoints" / "last.ckpt")


def assert_same_run(one, two):
    for part in ("state_dict", TRAINING_KEY):
        for name, tensor in one[part].items():
            assert torch.equal(tensor, two[part][name]), name
    for first, second in zip(one["optimizer_states"], two["optimizer_states"], strict=True):
        for index, state in first["state"].items():
            assert all(
                torch.equal(value, second["state"][index][name]) for name, value in state.items()
            )
    assert one["lr_schedulers"] == two["lr_schedulers"]
    assert one["wavelight_progress"] == two["wavelight_progress"]


def assert_equal_states(one, other):
    one, other = one.state_dict(), other.state_dict()
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
