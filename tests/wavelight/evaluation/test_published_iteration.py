"""The stand-in of the published iteration computes what our networks do, in the published operations."""

from functools import partial

import pytest
import torch
from torch import nn

from tests.golden import normal
from tests.systems import tiny_sgm
from tests.tiny import tiny_system
from wavelight.evaluation.published_iteration import (
    PublishedIteration,
    can_stand_in,
    predict,
    score,
)
from wavelight.networks import NCSNpp, SmallDiscriminator, WaveletNCSNpp

SMALL = {"width": 16, "mapping_layers": 1, "blocks": 1}
IMAGE = normal(1, 4, 3, 16, 16).clamp(-1, 1)


def system_of(generator=NCSNpp, multipliers=(1, 2, 2)):
    factory = partial(generator, multipliers=multipliers, attention_resolutions=[4], **SMALL)
    return tiny_system(
        generator=factory, discriminator=partial(SmallDiscriminator, width=4, blocks=3)
    )


def filled(network: nn.Module) -> nn.Module:
    """Give weights that start near zero a say."""
    with torch.no_grad():
        for number, weight in enumerate(network.parameters()):
            weight.add_(0.1 * normal(number, *weight.shape))
    return network


def gradients(network: nn.Module, output: torch.Tensor) -> torch.Tensor:
    slope = normal(5, *output.shape)
    found = torch.autograd.grad(output, list(network.parameters()), slope)
    return torch.cat([each.flatten() for each in found])


@pytest.mark.parametrize(("player", "function"), [("generator", predict), ("discriminator", score)])
def test_outputs_and_gradients_are_those_of_the_network(player, function):
    network = filled(getattr(system_of().models[0], player))
    x = normal(1, 4, 12, 8, 8)
    third = normal(2, 4, 100) if player == "generator" else normal(2, 4, 12, 8, 8)
    inputs = (x, torch.arange(4) % 2, third)
    ours, published = network(*inputs), function(network, *inputs)
    torch.testing.assert_close(published, ours, atol=2e-5, rtol=1e-4)
    expected, found = gradients(network, ours), gradients(network, published)
    assert (found - expected).norm() < 1e-4 * expected.norm()


def test_an_iteration_trains_both_copies_and_leaves_the_system():
    system = system_of()
    filled(system.models[0])
    before = {name: weight.clone() for name, weight in system.state_dict().items()}
    iteration = PublishedIteration(system, IMAGE)
    networks = (iteration._generator, iteration._discriminator)
    copies = [weight.detach().clone() for network in networks for weight in network.parameters()]
    iteration()
    after = [weight for network in networks for weight in network.parameters()]
    assert not any(torch.equal(old, new) for old, new in zip(copies, after, strict=True))
    for name, weight in system.state_dict().items():
        assert torch.equal(weight, before[name]), name


def test_the_average_moves_by_one_minus_decay_towards_the_generator():
    iteration = PublishedIteration(system_of(), IMAGE)
    before = [average.clone() for average in iteration._averages]
    iteration()
    for old, average, weight in zip(
        before, iteration._averages, iteration._generator.parameters(), strict=True
    ):
        torch.testing.assert_close(average, old.lerp(weight.detach(), 1e-4), atol=1e-7, rtol=0)


def test_tensors_are_contiguous_as_published():
    system = system_of()
    assert not system.models[0].generator.stem.weight.is_contiguous()
    iteration = PublishedIteration(system, IMAGE)
    assert all(weight.is_contiguous() for weight in iteration._generator.parameters())


@pytest.mark.parametrize(
    "system", [tiny_sgm, partial(system_of, WaveletNCSNpp)], ids=["no GAN", "wavelets inside"]
)
def test_iterations_that_are_not_known_are_refused(system):
    built = system()
    assert not can_stand_in(built)
    with pytest.raises(ValueError, match="the published iteration is known for NCSNpp"):
        PublishedIteration(built, IMAGE)
