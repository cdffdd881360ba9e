"""Going on with other options than the checkpoint had: what is recorded is what is used, or it is refused."""

import math
from functools import partial

import pytest
import torch
from lightning.pytorch.loggers import CSVLogger as LightningCSVLogger

from tests.runs import assert_same_run, fit, last
from tests.tiny import BATCHES_AN_EPOCH, tiny_data, tiny_system, tiny_trainer
from wavelight.callbacks import ExponentialMovingAverage, LastCheckpoint
from wavelight.loggers import CSVLogger
from wavelight.training.trainer import Trainer
from wavelight.weights import TRAINING_KEY

cosine = torch.optim.lr_scheduler.CosineAnnealingLR


def adam(**options):
    return partial(torch.optim.Adam, **({"lr": 1e-3, "betas": (0.5, 0.9)} | options))


@pytest.fixture
def one_epoch(tmp_path):
    fit(tmp_path, max_epochs=1)
    return tmp_path


def groups(folder):
    return [state["param_groups"][0] for state in last(folder)["optimizer_states"]]


def test_another_rate_and_other_betas_are_used(one_epoch):
    system = tiny_system(generator_optimizer=adam(lr=5e-4, betas=(0.0, 0.99)), scheduler=None)
    fit(one_epoch, system=system, ckpt_path="last", max_epochs=2)
    discriminator, generator = groups(one_epoch)
    assert (generator["lr"], generator["betas"]) == (5e-4, (0.0, 0.99))
    assert (discriminator["lr"], discriminator["betas"]) == (1e-3, (0.5, 0.9))


def test_a_longer_cosine_ends_at_its_end(one_epoch):
    system = tiny_system(scheduler=partial(cosine, T_max=5))
    fit(one_epoch, system=system, ckpt_path="last", max_epochs=2)
    expected = [1e-3 * (1 + math.cos(math.pi * 2 / 5)) / 2] * 2
    assert [group["lr"] for group in groups(one_epoch)] == pytest.approx(expected)


def test_a_schedule_that_is_given_up_gives_the_rate_back(one_epoch):
    fit(one_epoch, system=tiny_system(scheduler=None), ckpt_path="last", max_epochs=2)
    assert [group["lr"] for group in groups(one_epoch)] == [1e-3, 1e-3]
    assert last(one_epoch)["lr_schedulers"] == []


def test_a_new_schedule_stands_where_the_run_stands(tmp_path):
    fit(tmp_path, system=tiny_system(scheduler=None), max_epochs=1)
    fit(tmp_path, ckpt_path="last", max_epochs=2)
    fit(tmp_path / "whole", max_epochs=2)
    assert last(tmp_path)["lr_schedulers"] == last(tmp_path / "whole")["lr_schedulers"]


def test_a_fused_optimizer_of_the_same_class_keeps_its_moments(one_epoch):
    system = tiny_system(generator_optimizer=adam(foreach=True))
    fit(one_epoch, system=system, ckpt_path="last")
    fit(one_epoch / "whole")
    steps = [
        run["optimizer_states"][1]["state"][0]["step"]
        for run in map(last, (one_epoch, one_epoch / "whole"))
    ]
    assert steps[0] == steps[1] == 3 * BATCHES_AN_EPOCH


def test_other_optimizers_are_refused_before_anything_is_touched(one_epoch):
    before = (one_epoch / "checkpoints" / "last.ckpt").read_bytes()
    system = tiny_system(generator_optimizer=partial(torch.optim.SGD, lr=0.1))
    with pytest.raises(
        ValueError,
        match=r"models.0.generator must go on with the optimizer of the checkpoint, torch.optim.adam.Adam, got "
        r"torch.optim.sgd.SGD",
    ):
        fit(one_epoch, system=system, ckpt_path="last", max_epochs=2)
    assert (one_epoch / "checkpoints" / "last.ckpt").read_bytes() == before


def test_without_its_ema_a_run_goes_on_from_the_weights_that_learn(one_epoch):
    """Not from the averaged ones, which the checkpoint's state dict holds."""
    trainer = tiny_trainer(one_epoch, max_epochs=1)
    trainer.callbacks = [
        each for each in trainer.callbacks if not isinstance(each, ExponentialMovingAverage)
    ]
    system = tiny_system()
    trainer.fit(system, datamodule=tiny_data(), ckpt_path="last")
    learning = last(one_epoch)[TRAINING_KEY]
    state = system.state_dict()
    assert all(torch.equal(state[name], weight) for name, weight in learning.items())


def test_an_ema_that_is_added_starts_from_the_weights(tmp_path):
    options = {"max_epochs": 1, "logger": False, "limit_train_batches": BATCHES_AN_EPOCH}
    bare = Trainer(
        accelerator="cpu",
        callbacks=[LastCheckpoint()],
        default_root_dir=str(tmp_path),
        enable_progress_bar=False,
        limit_val_batches=0,
        **options,
    )
    bare.fit(tiny_system(), datamodule=tiny_data())
    assert TRAINING_KEY not in last(tmp_path)
    fit(tmp_path, ckpt_path="last", max_epochs=2)
    assert TRAINING_KEY in last(tmp_path)


def test_a_moved_folder_goes_on_as_if_it_had_stayed(one_epoch, tmp_path):
    fit(tmp_path / "whole")
    moved = one_epoch.rename(tmp_path.with_name(f"{tmp_path.name}-moved"))
    fit(moved, ckpt_path="last")
    assert_same_run(last(moved / "whole"), last(moved))


def rows(folder):
    return (folder / "metrics.csv").read_text().splitlines()


def test_rows_of_batches_that_are_made_again_are_dropped(tmp_path):
    options = {"log_every_n_steps": 1}
    fit(tmp_path / "whole", logger=CSVLogger(str(tmp_path / "whole")), **options)
    fit(tmp_path, logger=CSVLogger(str(tmp_path)), max_epochs=1, **options)
    kept = (tmp_path / "checkpoints" / "last.ckpt").read_bytes()
    fit(tmp_path, logger=CSVLogger(str(tmp_path)), max_epochs=2, ckpt_path="last", **options)
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("0,1.5,")  # as a full disk or a kill leaves it
    (tmp_path / "checkpoints" / "last.ckpt").write_bytes(kept)
    (tmp_path / "checkpoints" / "previous.ckpt").unlink()
    fit(tmp_path, logger=CSVLogger(str(tmp_path)), ckpt_path="last", **options)
    assert rows(tmp_path) == rows(tmp_path / "whole")


def test_other_loggers_of_a_run_are_left_alone(one_epoch, tmp_path):
    logger = LightningCSVLogger(tmp_path / "other")
    fit(one_epoch, logger=logger, ckpt_path="last", max_epochs=2)
    assert (tmp_path / "other").exists()
