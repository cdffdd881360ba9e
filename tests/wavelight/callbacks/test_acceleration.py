from functools import partial

import lightning as L
import pytest
import torch
from torch._dynamo.utils import counters

from tests.systems import TINY_NCSNPP
from tests.tiny import tiny_data, tiny_system, tiny_trainer
from wavelight.callbacks import Acceleration
from wavelight.networks import WaveletNCSNpp
from wavelight.weights import read_checkpoint


class Watch(L.Callback):
    """Notes after every batch the losses, and how many graphs were compiled so far."""

    def __init__(self):
        self.losses = []
        self.graphs = []

    def on_train_batch_end(self, trainer, pl_module, *rest):
        losses = {
            name: value.clone()
            for name, value in trainer.callback_metrics.items()
            if name.startswith("train/")
        }
        self.losses.append(losses)
        self.graphs.append(counters["stats"]["unique_graphs"])


def settings():
    precision = torch.get_float32_matmul_precision()
    return precision, torch.backends.cudnn.allow_tf32, torch.compiler.config.recompile_limit


def compiled(system):
    networks = [player.network for player in system.models[0].players().values()]
    return [network._compiled_call_impl for network in networks]


def test_settings_last_as_long_as_the_stage():
    before, system = settings(), tiny_system()
    acceleration = Acceleration(compile=False)
    acceleration.setup(None, system, "fit")
    assert settings() == ("high", True, before[2])
    assert compiled(system) == [None, None]
    acceleration.teardown(None, system, "fit")
    assert settings() == before
    acceleration.setup(None, system, "fit")
    acceleration.on_exception(None, system, RuntimeError())
    assert settings() == before


def test_networks_are_compiled_once_and_keep_their_names():
    system, acceleration = tiny_system(), Acceleration(tensor_float_32=False)
    before, names = settings(), list(system.state_dict())
    acceleration.setup(None, system, "fit")
    first = compiled(system)
    assert None not in first
    assert settings()[:2] == before[:2]
    acceleration.teardown(None, system, "fit")
    acceleration.setup(None, system, "test")
    assert compiled(system) == first
    acceleration.teardown(None, system, "test")
    assert list(system.state_dict()) == names


GENERATORS = {
    "plain": TINY_NCSNPP,
    "wavelet": partial(
        WaveletNCSNpp,
        width=16,
        multipliers=[1, 1],
        attention_resolutions=[],
        mapping_layers=1,
        blocks=1,
    ),
}


# Without so large an eps, Adam takes whole steps along gradients that are rounding alone.
ADAM = partial(torch.optim.Adam, lr=1e-3, betas=(0.5, 0.9), eps=1e-4)


def run(folder, generator, *callbacks):
    watch = Watch()
    trainer = tiny_trainer(folder, watch, *callbacks, limit_val_batches=1)
    counters.clear()
    system = tiny_system(
        generator=GENERATORS[generator],
        generator_optimizer=ADAM,
        discriminator_optimizer=ADAM,
    )
    trainer.fit(system, datamodule=tiny_data())
    return watch, read_checkpoint(folder / "checkpoints" / "last.ckpt")


@pytest.mark.slow
@pytest.mark.parametrize("generator", GENERATORS)
def test_a_compiled_run_is_the_eager_one_and_compiles_no_more_after_its_first_batches(
    tmp_path, generator
):
    torch.compiler.reset()
    eager, eager_checkpoint = run(tmp_path / "eager", generator)
    fast, fast_checkpoint = run(tmp_path / "fast", generator, Acceleration())
    for one, two in zip(eager.losses, fast.losses, strict=True):
        assert one.keys() == two.keys()
        for name in one:
            torch.testing.assert_close(two[name], one[name], rtol=1e-3, atol=1e-5)
    assert eager.graphs == [0] * 12
    # Each network with and without gradients of its weights; then sampling, which comes with the
    # first validation.
    assert fast.graphs == [4] * 4 + [5] * 8
    assert fast_checkpoint["state_dict"].keys() == eager_checkpoint["state_dict"].keys()
