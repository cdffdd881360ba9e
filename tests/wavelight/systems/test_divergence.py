"""Training that diverges is stopped before a good checkpoint is overwritten, and named."""

import signal
from functools import partial

import lightning as L
import pytest
import torch

from tests.runs import StopAt, assert_same_run, fit, last
from tests.systems import tiny_hybrid, tiny_sgm
from tests.tiny import BATCHES_AN_EPOCH, tiny_data, tiny_system
from wavelight.systems.divergence import DivergedError, LossWatch, not_finite


class Poison(L.Callback):
    """Makes the images of one batch not finite."""

    def __init__(self, batch):
        self.batch = batch

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if pl_module.batches_seen + 1 == self.batch:
            batch["image"].fill_(float("nan"))


class PoisonWeights(L.Callback):
    """Makes one weight not finite behind a batch, as a step too large does."""

    def __init__(self, batch, name):
        self.batch = batch
        self.name = name

    def on_train_batch_end(self, trainer, pl_module, *rest):
        if pl_module.batches_seen == self.batch:
            pl_module.get_parameter(self.name).data[0] = float("inf")


def test_the_first_bad_term_is_named_with_its_batch_and_its_network(tmp_path):
    with pytest.raises(
        DivergedError,
        match=r"training has diverged: train/discriminator/real is not finite in batch 6, a term of the "
        r"discriminator of the sub-bands; the last good file is .*last.ckpt, of 32 images",
    ):
        fit(tmp_path, Poison(BATCHES_AN_EPOCH + 2))
    assert last(tmp_path)["wavelight_progress"]["batches_seen"] == BATCHES_AN_EPOCH


def test_the_band_is_named(tmp_path):
    with pytest.raises(
        DivergedError,
        match=r"train/0/score/.* of the score of the LL of level 2; nothing was saved",
    ):
        fit(tmp_path, Poison(1), system=tiny_hybrid())


@pytest.mark.parametrize("every", [1, 2])
def test_saves_inside_an_epoch_keep_the_last_good_file(tmp_path, every):
    with pytest.raises(DivergedError, match="in batch 4"):
        fit(tmp_path, Poison(4), every_n_batches=every)
    assert last(tmp_path)["wavelight_progress"]["batches_seen"] == (3 if every == 1 else 2)


def test_a_signal_saves_nothing_that_is_not_finite(tmp_path):
    with pytest.raises(DivergedError, match="in batch 6"):
        fit(tmp_path, Poison(6), StopAt(6, signal.SIGTERM))
    assert last(tmp_path)["wavelight_progress"]["batches_seen"] == BATCHES_AN_EPOCH


def test_a_weight_that_is_not_finite_is_not_saved_though_losses_are(tmp_path):
    name = "models.0.generator.stem.weight"
    with pytest.raises(DivergedError, match=f"{name} is not finite after batch 4"):
        fit(tmp_path, PoisonWeights(BATCHES_AN_EPOCH, name))
    assert not (tmp_path / "checkpoints").exists()


def test_the_state_of_an_optimizer_counts(tmp_path):
    system = fit(tmp_path, max_epochs=1)
    optimizer = torch.optim.Adam(system.parameters())
    system.models[0].generator.stem.weight.grad = torch.zeros_like(
        system.models[0].generator.stem.weight
    )
    optimizer.step()
    assert not_finite(system, [optimizer]) is None
    optimizer.state[system.models[0].generator.stem.weight]["exp_avg_sq"].fill_(float("inf"))
    assert not_finite(system, [optimizer]) == "exp_avg_sq of models.0.generator.stem.weight"


def test_steps_that_may_be_skipped_are_counted(tmp_path):
    system = tiny_sgm(max_skipped_steps=1)
    fit(tmp_path, Poison(3), system=system)
    assert system.skipped_steps == 1
    assert all(weight.isfinite().all() for weight in system.parameters())
    assert last(tmp_path)["wavelight_progress"]["skipped_steps"] == 1


def test_too_many_skipped_steps_are_divergence(tmp_path):
    with pytest.raises(
        DivergedError,
        match="the gradient of the score of the pixels is not finite in batch 4, after 1 step",
    ):
        fit(tmp_path, Poison(3), Poison(4), system=tiny_sgm(max_skipped_steps=1))


def test_looking_at_gradients_changes_no_run_that_is_well(tmp_path):
    fit(tmp_path / "plain")
    fit(tmp_path / "watched", system=tiny_system(max_skipped_steps=3))
    assert_same_run(last(tmp_path / "plain"), last(tmp_path / "watched"))


def test_the_earliest_batch_is_found_among_terms_that_come_now_and_then():
    watch, bad = LossWatch(), torch.tensor(float("nan"))
    assert watch.first() is None
    watch.note(0, "generator", {"a": torch.ones(()), "b": torch.ones(())}, 1)
    assert watch.first() is None
    watch.note(0, "generator", {"a": bad, "b": torch.ones(()), "c": bad}, 2)
    watch.note(0, "generator", {"a": bad, "b": bad}, 3)
    assert watch.first() == (0, "generator", "a", 2)


def test_plateaus_are_refused_before_training(tmp_path):
    scheduler = partial(torch.optim.lr_scheduler.ReduceLROnPlateau, patience=1)
    with pytest.raises(
        ValueError, match="scheduler must be a schedule by epochs, got ReduceLROnPlateau"
    ):
        fit(tmp_path, system=tiny_system(scheduler=scheduler), data=tiny_data())
