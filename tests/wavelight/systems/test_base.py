import signal
from functools import partial

import lightning as L
import pytest
import torch
from lightning.pytorch.utilities.exceptions import SIGTERMException

from tests.runs import StopAt, assert_same_run, fit, last
from tests.tiny import BATCHES_AN_EPOCH, tiny_data, tiny_system
from wavelight.factorizations.base import Pixels
from wavelight.factorizations.pyramids import Pyramid
from wavelight.factors import FactorShape
from wavelight.models import GenerativeModel
from wavelight.support.errors import OptionError
from wavelight.systems import ImageGenerator


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of three epochs that nothing interrupts."""
    folder = tmp_path_factory.mktemp("whole")
    fit(folder)
    return last(folder)


def test_training_moves_both_players(whole):
    start = tiny_system().state_dict()
    for player in ("generator", "discriminator"):
        names = [name for name in start if player in name]
        assert any(not torch.equal(start[name], whole["state_dict"][name]) for name in names)
    assert whole["wavelight_progress"] == {
        "images_seen": 96,
        "batches_seen": 12,
        "epochs_seen": 3,
        "skipped_steps": 0,
    }


def test_resuming_at_an_epochs_end_changes_nothing(whole, tmp_path):
    fit(tmp_path, max_epochs=2)
    fit(tmp_path, ckpt_path="last")
    assert_same_run(whole, last(tmp_path))


@pytest.mark.parametrize("batches", [5, 7, 8])
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_resuming_inside_an_epoch_changes_nothing(whole, tmp_path, batches, signum):
    with pytest.raises(SIGTERMException):
        fit(tmp_path, StopAt(batches, signum))
    assert last(tmp_path)["wavelight_progress"]["batches_seen"] == batches
    fit(tmp_path, ckpt_path="last")
    assert_same_run(whole, last(tmp_path))


def test_resuming_from_a_save_inside_an_epoch_changes_nothing(whole, tmp_path):
    class KillAt(L.Callback):
        def on_train_batch_start(self, trainer, pl_module, *rest):
            if pl_module.batches_seen == 7:
                raise RuntimeError("the machine died")

    with pytest.raises(RuntimeError, match="died"):
        fit(tmp_path, KillAt(), every_n_batches=3)
    assert last(tmp_path)["wavelight_progress"]["batches_seen"] == 6
    fit(tmp_path, ckpt_path="last")
    assert_same_run(whole, last(tmp_path))


def test_workers_change_nothing(whole, tmp_path):
    fit(tmp_path, data=tiny_data(num_workers=1), max_epochs=1)
    fit(tmp_path, ckpt_path="last")
    assert_same_run(whole, last(tmp_path))


def test_accumulation_gives_the_same_gradients(tmp_path):
    gradients = []
    for accumulate_grad_batches in (1, 2):
        system = tiny_system(accumulate_grad_batches=accumulate_grad_batches)
        fit(
            tmp_path / str(accumulate_grad_batches),
            system=system,
            max_epochs=1,
            limit_train_batches=1,
        )
        gradients.append(system.models[0].discriminator.blocks[0].conv_in.weight.grad.clone())
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-7)


def test_parts_that_do_not_divide_are_refused_before_training(tmp_path):
    system = tiny_system(accumulate_grad_batches=3)
    sentence = (
        r"accumulate_grad_batches must divide a device's 8 images of a batch into whole groups of 4 \(minibatch "
        r"standard deviation\), got 3: give a data.batch_size that is a multiple of 12, or another number"
    )
    with pytest.raises(OptionError, match=sentence):
        fit(tmp_path, system=system)
    assert not system.has_begun


def test_processes_exchange_the_terms_of_a_batch_in_one_message(tmp_path, monkeypatch):
    messages = []

    def twice(terms):
        messages.append(len(terms))
        return 2 * terms

    curves = []
    for name, exchange in {"once": lambda terms: terms, "doubled": twice}.items():
        monkeypatch.setattr("wavelight.systems.base.mean", exchange)
        system = fit(tmp_path / name, max_epochs=1)
        curves.append(system.trainer.callback_metrics)
    # The penalty R1 is among the first batch and the fourth.
    assert messages == [5, 4, 4, 5]
    once, doubled = curves
    assert len(once) == 5
    assert all(doubled[name] == 2 * value for name, value in once.items())


def test_clipping_bounds_every_players_gradient(tmp_path):
    norms = []

    class Watch(L.Callback):
        def on_before_optimizer_step(self, trainer, pl_module, optimizer):
            gradients = [p.grad for group in optimizer.param_groups for p in group["params"]]
            norms.append(torch.linalg.vector_norm(torch.stack([g.norm() for g in gradients])))

    fit(tmp_path / "free", Watch(), max_epochs=1)
    assert max(norms) > 0.02
    norms.clear()
    system = tiny_system(gradient_clip_val=0.01)
    fit(tmp_path / "clipped", system=system, max_epochs=1)
    gradients = [p.grad.norm() for p in system.models[0].generator.parameters()]
    assert torch.linalg.vector_norm(torch.stack(gradients)) <= 0.01 * 1.001


def test_bf16_mixed_trains_in_bf16_and_keeps_float32_weights(tmp_path):
    seen = []

    class Watch(L.Callback):
        def on_train_start(self, trainer, pl_module):
            convolution = pl_module.models[0].generator.stem
            convolution.register_forward_hook(lambda _, __, output: seen.append(output.dtype))

    system = fit(tmp_path, Watch(), precision="bf16-mixed", max_epochs=1)
    assert set(seen) == {torch.bfloat16}
    assert all(parameter.dtype == torch.float32 for parameter in system.parameters())
    assert all(parameter.isfinite().all() for parameter in system.parameters())


def test_divergence_stops_the_run_and_leaves_the_last_good_checkpoint(tmp_path):
    class Poison(L.Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            if pl_module.batches_seen == BATCHES_AN_EPOCH + 1:
                batch["image"].fill_(float("nan"))

    with pytest.raises(FloatingPointError, match="training has diverged: train/"):
        fit(tmp_path, Poison())
    kept = last(tmp_path)
    assert kept["wavelight_progress"]["batches_seen"] == BATCHES_AN_EPOCH
    assert all(tensor.isfinite().all() for tensor in kept["state_dict"].values())


def test_schedules_step_once_an_epoch(tmp_path):
    rates = []

    class Watch(L.Callback):
        def on_train_batch_start(self, trainer, pl_module, *rest):
            rates.append(pl_module.optimizers()[0].param_groups[0]["lr"])

    fit(tmp_path, Watch())
    epochs = [rates[i : i + BATCHES_AN_EPOCH] for i in range(0, len(rates), BATCHES_AN_EPOCH)]
    assert all(len(set(epoch)) == 1 for epoch in epochs)
    torch.testing.assert_close([epoch[0] for epoch in epochs], [1e-3, 0.75e-3, 0.25e-3])


def test_drawn_images_depend_on_their_number_alone():
    system = tiny_system()
    images = system.sample(5, seed=7, batch_size=2)
    assert images.shape == (5, 3, 16, 16)
    assert images.abs().max() <= 1
    torch.testing.assert_close(system.sample(2, seed=7, start=3), images[3:], atol=1e-5, rtol=0)
    assert not torch.equal(system.sample(5, seed=8), images)
    assert system.training


def test_a_player_left_out_does_not_learn():
    model = tiny_system().models[0]
    with pytest.raises(ValueError, match="one for each of the 3 factors of Pyramid, got 1"):
        ImageGenerator(Pyramid(2), [lambda shape: model], 16, 0)
    with pytest.raises(ValueError, match=r"train must name factors from 0 to 0, got \[1\]"):
        ImageGenerator(Pixels(), [lambda shape: model], 16, 0, train=[1])


def test_a_model_is_built_for_its_factor_and_shared_where_it_is_named_again():
    """The first factor that names it gives its shape."""
    shapes = []

    class Nothing(GenerativeModel):
        def __init__(self, shape):
            super().__init__()
            shapes.append(shape)

        def players(self):
            return {}

        losses = sample = None

    coarse = partial(Nothing)
    system = ImageGenerator(Pyramid(2, channels=1), [coarse, Nothing, Nothing], 16, 0, channels=1)
    assert shapes == [FactorShape(1, 4, 4), FactorShape(3, 4, 4, condition_channels=1)]
    first, *others = system.factor_models()
    assert first is system.models[0]
    assert all(model is system.models[1] for model in others)


def test_image_sizes_that_do_not_divide_are_refused():
    with pytest.raises(
        ValueError, match=r"image_size must be divisible by 2\*\*levels = 2, got 15"
    ):
        tiny_system(image_size=15)


@pytest.mark.parametrize(
    "changes", [{"image_size": 32}, {"channels": 1}, {"levels": 2}], ids=["32", "grey", "levels"]
)
def test_one_option_changes_the_factor_that_networks_are_built_for(changes):
    system = tiny_system(**changes)
    images = system.sample(1)
    assert images.shape == (1, system.channels, system.image_size, system.image_size)
    assert images.isfinite().all()


def test_fine_tuning_starts_from_the_weights_of_a_checkpoint(whole, tmp_path):
    fit(tmp_path / "first", max_epochs=1)
    path = tmp_path / "first" / "checkpoints" / "last.ckpt"
    started = {}

    class Watch(L.Callback):
        def on_train_start(self, trainer, pl_module):
            started.update(
                {name: tensor.clone() for name, tensor in pl_module.state_dict().items()}
            )

    system = fit(tmp_path / "second", Watch(), system=tiny_system(start_from=path), max_epochs=1)
    for name, tensor in last(tmp_path / "first")["state_dict"].items():
        assert torch.equal(started[name], tensor)
    assert system.images_seen == BATCHES_AN_EPOCH * 8
