"""The training that is measured is the one that ``fit`` runs."""

import copy
import shutil
from functools import partial

import pytest
import torch
from torch import nn

from tests.systems import score_model, tiny_hybrid, tiny_sgm, tiny_wsgm, unnormalized_gan
from tests.tiny import tiny_system
from wavelight.callbacks import ema
from wavelight.evaluation import training_speed as module
from wavelight.evaluation.timing import Precision
from wavelight.evaluation.training_speed import (
    compile_for_training,
    training_gflop,
    training_in_turns,
    training_seconds,
)
from wavelight.factorizations.scaling import Half
from wavelight.models import denoising_gan

CPU = torch.device("cpu")

once = partial(training_seconds, precision=Precision.float32, warm_ups=0, repetitions=1)


def weights_of(system):
    return {
        name: torch.cat([weight.detach().flatten() for weight in player.network.parameters()])
        for name, player in system.models[0].players().items()
    }


def test_batches_train_every_player_without_the_penalty(monkeypatch):
    monkeypatch.setattr(denoising_gan, "r1_penalty", lambda *_: pytest.fail("a penalty"))
    system = tiny_system(r1_gamma=1.0, r1_every=2)
    before = weights_of(system)
    assert training_seconds(system, 2, Precision.float32, warm_ups=1, repetitions=2) > 0
    for name, weights in weights_of(system).items():
        assert not torch.equal(before[name], weights), name


def test_a_batch_is_trained_on_as_the_system_does():
    """Both players see noise of one seed, each of its stream, and the second sees the first's step."""
    system, turns = tiny_system(), []
    losses = system.models[0].losses

    def watch(name, factor, turn, noise):
        turns.append((name, factor.target.shape, turn, noise.seed, noise.stream))
        return losses(name, factor, turn, noise)

    system.models[0].losses = watch
    training_seconds(system, 3, Precision.float32, warm_ups=1, repetitions=1)
    shape = torch.Size([3, 12, 8, 8])
    assert turns == [("discriminator", shape, 1, 3, 1), ("generator", shape, 1, 3, 2)] * 2


def test_accumulated_batches_and_factors_that_do_not_learn_are_those_of_fit():
    system = tiny_hybrid(details=unnormalized_gan(), train=[1], accumulate_grad_batches=2)
    untrained = copy.deepcopy(system.models[0].state_dict())
    generator = system.models[1].generator.head.weight.clone()
    once(system, 2)
    assert all(
        torch.equal(untrained[name], each) for name, each in system.models[0].state_dict().items()
    )
    assert not torch.equal(generator, system.models[1].generator.head.weight)


def test_players_rest():
    system = tiny_hybrid()  # whose discriminator plays every third turn
    discriminator = system.models[1].discriminator.stem.weight.clone()
    generator = system.models[1].generator.head.weight.clone()
    once(system, 2)
    assert torch.equal(discriminator, system.models[1].discriminator.stem.weight)
    assert not torch.equal(generator, system.models[1].generator.head.weight)


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [(Precision.float32, torch.float32), (Precision.bfloat16, torch.bfloat16)],
)
def test_networks_learn_in_the_precision(precision, dtype):
    system, seen = tiny_system(), set()

    def see(module, inputs, output):
        # On the meta device the cost of an image is counted.
        if not output.is_meta:
            seen.add(output.dtype)

    system.models[0].generator.stem.register_forward_hook(see)
    training_seconds(system, 2, precision, warm_ups=0, repetitions=1)
    assert seen == {dtype}
    assert system.models[0].generator.stem.weight.dtype == torch.float32


def test_the_time_is_the_mean_from_the_first_measured_batch_to_the_end_of_the_last(monkeypatch):
    read = iter([10.0, 16.0])
    monkeypatch.setattr(module, "clock", lambda device: next(read))
    assert training_seconds(tiny_system(), 1, Precision.float32, warm_ups=2, repetitions=3) == 2
    assert next(read, None) is None


class Pointwise(nn.Module):
    """A network whose operations can be counted by hand."""

    def __init__(self, shape):
        super().__init__()
        self.convolution = nn.Conv2d(shape.channels, shape.channels, 1)

    def forward(self, image, time, condition):
        return self.convolution(image)


def test_operations_are_two_a_multiply_add_forward_and_backward():
    system = tiny_sgm(model=score_model(network=Pointwise))
    multiply_adds = 5 * 3 * 3 * 16 * 16  # images, channels in and out, pixels
    # The gradient of the weights takes as many as the output; the input needs none.
    assert training_gflop(system, 5) == 2 * 2 * multiply_adds / 1e9


def test_the_measurement_of_bands_is_no_operation_of_a_batch():
    with_statistics, without = tiny_wsgm(), tiny_wsgm(scaling=Half())
    assert with_statistics.factorization.needs_statistics()
    assert training_gflop(with_statistics, 3) == training_gflop(without, 3)


def test_batches_and_others_are_measured_in_turns():
    system, order = tiny_system(), []

    def see(module, inputs, output):
        # On the meta device the cost of an image is counted.
        if not output.is_meta:
            order.append("batch")

    system.models[0].generator.register_forward_hook(see)
    others = {"a": lambda: order.append("a"), "b": lambda: order.append("b")}
    batches, seconds = training_in_turns(system, 2, Precision.float32, 3, others)
    assert len(batches) == 3
    assert [len(each) for each in seconds.values()] == [3, 3]
    assert min(batches) > 0
    calls = order.index("a")
    assert order == ([*["batch"] * calls, "a", "b"]) * 5


def test_the_ema_that_fit_keeps_is_measured_with_a_batch(monkeypatch):
    """It is moved, for the first time after the second batch, before the clock is read."""
    events: list[str] = []
    moved = ema.get_ema_multi_avg_fn

    def averaging(decay):
        events.append("ema")
        return moved(decay)

    monkeypatch.setattr(ema, "get_ema_multi_avg_fn", averaging)
    monkeypatch.setattr(module, "clock", lambda device: events.append("clock") or 0.0)
    training_in_turns(tiny_system(), 2, Precision.float32, 1, {})
    assert events == ["clock", "clock", *["clock", "ema", "clock"] * 2]


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [(Precision.float32, torch.float32), (Precision.bfloat16, torch.bfloat16)],
)
def test_turns_are_in_the_precision(precision, dtype):
    system, seen = tiny_system(), set()
    system.models[0].discriminator.stem.register_forward_hook(
        lambda module, inputs, output: seen.add(output.dtype)
    )
    training_in_turns(system, 2, precision, 1, {})
    assert seen == {dtype}


def test_nothing_is_printed_or_written(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    once(tiny_system(), 1)
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="compiling needs a C++ compiler")
def test_compiled_networks_are_measured():
    system = tiny_system()
    compile_for_training(system)
    assert once(system, 2) > 0
