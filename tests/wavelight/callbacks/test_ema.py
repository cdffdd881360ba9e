import lightning as L
import pytest
import torch

from tests.tiny import tiny_data, tiny_system, tiny_trainer
from wavelight.callbacks import ExponentialMovingAverage
from wavelight.callbacks.ema import ema_tensors, exponent_of_width
from wavelight.weights import TRAINING_KEY, read_checkpoint


class Watch(L.Callback):
    """Notes the generator's weights after every batch, and those that validation sees."""

    def __init__(self):
        self.trained = []
        self.validated = []

    def on_train_batch_end(self, trainer, pl_module, *rest):
        self.trained.append(
            {name: weight.clone() for name, weight in ema_tensors(pl_module).items()}
        )

    def on_validation_batch_start(self, trainer, pl_module, *rest):
        self.validated.append(
            {name: weight.clone() for name, weight in ema_tensors(pl_module).items()}
        )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder, watch = tmp_path_factory.mktemp("ema"), Watch()
    trainer = tiny_trainer(folder, watch, limit_val_batches=1, check_val_every_n_epoch=3)
    system = tiny_system()
    trainer.fit(system, datamodule=tiny_data())
    return watch, system, read_checkpoint(folder / "checkpoints" / "last.ckpt")


def expected_average(trained, decay=0.9):
    average = trained[0]
    for weights in trained[1:]:
        average = {name: decay * average[name] + (1 - decay) * weights[name] for name in average}
    return average


def test_average_follows_its_definition(run):
    watch, _, checkpoint = run
    for name, tensor in expected_average(watch.trained).items():
        torch.testing.assert_close(checkpoint["state_dict"][name], tensor, atol=1e-6, rtol=0)


def test_validation_sees_the_average_and_training_goes_on_without_it(run):
    watch, system, _ = run
    for name, tensor in expected_average(watch.trained).items():
        torch.testing.assert_close(watch.validated[0][name], tensor, atol=1e-6, rtol=0)
    for name, tensor in ema_tensors(system).items():
        assert torch.equal(tensor, watch.trained[-1][name])


def test_checkpoint_keeps_both_weights(run):
    watch, _, checkpoint = run
    assert all(
        torch.equal(checkpoint[TRAINING_KEY][name], watch.trained[-1][name])
        for name in watch.trained[-1]
    )
    assert not any("discriminator" in name for name in checkpoint[TRAINING_KEY])


@pytest.mark.parametrize("width", [0.05, 0.1, 0.288])
def test_a_width_is_the_deviation_of_the_batches_that_are_averaged(width):
    times = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
    weights = times ** exponent_of_width(width)
    mean = (weights * times).sum() / weights.sum()
    variance = (weights * (times - mean) ** 2).sum() / weights.sum()
    assert variance.sqrt().item() == pytest.approx(width, rel=1e-6)


def averaged(decay, width, batches):
    """Return the EMA of a weight that is the number of the batch."""
    callback, system = ExponentialMovingAverage(decay, width), tiny_system()
    weight = next(iter(ema_tensors(system).values()))
    for batch in range(1, batches + 1):
        system.batches_seen = batch
        weight.fill_(batch)
        callback.on_train_batch_end(None, system, None, None, 0)
    with callback.applied(system):
        return weight.flatten()[0].item()


def test_an_ema_of_a_width_spans_a_share_of_the_run():
    # Weights t^gamma have the mean (gamma + 1) / (gamma + 2) of the run.
    gamma = exponent_of_width(0.1)
    for batches in (50, 200):
        expected = (gamma + 1) / (gamma + 2) * batches
        assert averaged(0.9999, 0.1, batches) == pytest.approx(expected, abs=1.0)
    assert averaged(0.9, 0.1, 200) == pytest.approx(200 - 0.9 / 0.1, abs=0.01)


@pytest.mark.parametrize("width", [0.0, -0.1, 0.3])
def test_impossible_widths_are_refused(width):
    with pytest.raises(ValueError, match=f"relative_width must be above 0 .* got {width}"):
        ExponentialMovingAverage(0.9, width)


def test_only_what_draws_is_averaged():
    names = ema_tensors(tiny_system())
    assert names
    assert all(name.startswith("models.0.generator.") for name in names)


def test_average_is_put_in_and_out_by_value():
    """Tensors stay the same objects: DDP and optimizers hold on to them."""
    callback, system = ExponentialMovingAverage(0.5), tiny_system()
    callback.on_train_batch_end(None, system, None, None, 0)
    parameter = next(system.models[0].generator.parameters())
    with torch.no_grad():
        parameter.add_(1)
    before, address = parameter.clone(), parameter.data_ptr()
    with callback.applied(system), callback.applied(system):
        torch.testing.assert_close(parameter, before - 1)
        assert parameter.data_ptr() == address
    assert torch.equal(parameter, before)


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_impossible_decays_are_refused(decay):
    with pytest.raises(ValueError, match="below 1"):
        ExponentialMovingAverage(decay)
