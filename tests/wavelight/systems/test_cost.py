"""Evaluations, MACs and parameters are those that sampling takes, on any device and for any system."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from tests.systems import TINY_NCSNPP
from tests.tiny import tiny_system
from wavelight.checkpoints.loading import system_from_config
from wavelight.checkpoints.published import experiment_config
from wavelight.diffusion import FewStepDiffusion
from wavelight.factorizations.pyramids import Pyramid
from wavelight.factorizations.scaling import Unscaled
from wavelight.models import DenoisingGAN
from wavelight.systems import ImageGenerator
from wavelight.systems.cost import cost, network_calls

SIDE, CHANNELS, LATENT = 8, 12, 100


class OneOfEach(nn.Module):
    """A convolution, a linear layer and attention, whose costs a hand can count; for any channels and side."""

    bounded = False

    def __init__(self, channels):
        super().__init__()
        self.convolution = nn.Conv2d(channels, channels, 3, padding=1)
        self.linear = nn.Linear(LATENT, channels)

    def forward(self, x, t, z):
        h = self.convolution(x) + self.linear(z)[:, :, None, None]
        pixels = h.flatten(2).transpose(1, 2)
        read = functional.scaled_dot_product_attention(pixels, pixels, pixels)
        return read.transpose(1, 2).view_as(x)

    @staticmethod
    def macs(channels, side):
        pixels = side**2
        return 9 * pixels * channels**2 + LATENT * channels + 2 * pixels**2 * channels


def deaf_gan(shape, generator, steps):
    """Samples details without a look at what they refine, which costs the same."""
    return DenoisingGAN(
        shape._replace(condition_channels=0),
        lambda shape: generator,
        lambda shape: nn.Identity(),
        torch.optim.Adam,
        torch.optim.Adam,
        FewStepDiffusion(steps),
        r1_gamma=0,
        r1_every=1,
        reconstruction_weight=0,
    )


def pyramid_of_details_that_share_a_network(steps):
    detail = OneOfEach(9)
    models = [
        partial(deaf_gan, generator=generator, steps=number)
        for generator, number in zip((OneOfEach(3), detail, detail), steps, strict=True)
    ]
    return ImageGenerator(Pyramid(2, scaling=Unscaled()), models, image_size=16, seed=0)


@pytest.mark.parametrize("steps", [1, 3])
def test_cost_is_what_a_hand_counts(steps):
    system = tiny_system(generator=lambda shape: OneOfEach(shape.channels), steps=steps)
    (network,) = cost(system)
    assert network.name == "models.0.generator"
    assert network.evaluations == steps
    assert network.macs == steps * OneOfEach.macs(CHANNELS, SIDE)
    assert network.parameters == 9 * CHANNELS**2 + CHANNELS + LATENT * CHANNELS + CHANNELS


def test_networks_that_draw_several_factors_are_counted_once():
    coarse, detail = cost(pyramid_of_details_that_share_a_network([4, 1, 2]))
    assert coarse.evaluations == 4
    assert coarse.macs == 4 * OneOfEach.macs(3, 4)
    assert detail.name == "models.1.generator"
    assert detail.evaluations == 1 + 2
    assert detail.macs == OneOfEach.macs(9, 4) + 2 * OneOfEach.macs(9, 8)


def test_evaluations_have_the_shapes_of_the_batch():
    (calls,) = network_calls(tiny_system(steps=3), images=5).values()
    (call,) = calls
    assert [tuple(value.shape) for value in call.inputs] == [(5, 12, 8, 8), (5,), (5, 100)]
    assert call.times == 3
    (single,) = cost(tiny_system(steps=3))
    assert 3 * call.macs == 5 * single.macs


def test_the_count_is_that_of_drawing_on_this_device():
    system = tiny_system().eval()
    with FlopCounterMode(display=False) as counter:
        system.generate(torch.arange(1), seed=0)
    assert counter.get_total_flops() == 2 * sum(network.macs for network in cost(system))


def test_every_wavelet_is_counted_alike():
    generator = partial(TINY_NCSNPP, bounded=False)
    haar, other = (tiny_system(generator=generator, wavelet=name) for name in ("haar", "db2"))
    assert cost(haar) == cost(other)


def test_counting_leaves_the_system_alone():
    system = tiny_system()
    before = system.sample(2, seed=1)
    cost(system)
    assert system.training
    assert system.device.type == "cpu"
    assert torch.equal(system.sample(2, seed=1), before)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("experiment", "parameters", "gflop", "images"),
    [
        ("cifar10", 33_370_124, 13.3, 4),
        ("stl10", 55_585_292, 54.5, 4),
        ("celeba256", 31_485_452, 226, 4),
        ("church", 31_485_452, 226, 4),
        ("celeba1024", 44_186_416, 155, 1),
        ("cifar10_ddgan", 48_432_515, 53.9, 4),
        ("celeba256_ddgan", 39_726_979, 564, 4),
    ],
)
def test_published_networks_cost_what_is_known_of_them(experiment, parameters, gflop, images):
    """Sections 2.8 and 8 of the specification.

    There only convolutions are counted, which we save some of: by convolving before enlarging.
    """
    with torch.device("meta"):
        system = system_from_config(experiment_config(experiment))
    (network,) = cost(system)
    assert network.parameters == parameters
    counted = 2 * network.macs / network.evaluations * images / 1e9
    assert counted == pytest.approx(gflop, rel=0.1)
