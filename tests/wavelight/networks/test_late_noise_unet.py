"""The late-noise U-Net begins as its noise, and shares what depends on LL alone among samples."""

import math

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.golden import normal
from wavelight.factors import Condition, FactorShape
from wavelight.networks import LateNoiseUNet
from wavelight.networks.late_noise_unet import scale_mixture

DETAILS = FactorShape.square(9, 8, 3)


def network(multipliers=(1, 2), **changes):
    torch.manual_seed(0)
    return LateNoiseUNet(DETAILS, 8, multipliers, attention_resolutions=[], **changes)


def learnt(**changes):
    """Return one whose silent convolutions say something."""
    found = network(**changes)
    for parameter in found.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return found


def smooth(z):
    """Return the mean over 3x3 neighbours, around the edges, times 3."""
    return sum(torch.roll(z, (i, j), (2, 3)) for i in (-1, 0, 1) for j in (-1, 0, 1)) / 3


@pytest.mark.parametrize("tail", [0.0, 0.25, 0.5])
def test_it_begins_as_a_scale_mixture_of_its_noise(tail):
    noise = normal(1, 2, 10, 8, 8)
    scale = (tail * smooth(noise[:, 9:]) - tail**2).exp()
    first = network(first_tail=tail)(noise, Condition(normal(2, 2, 3, 8, 8)))
    torch.testing.assert_close(first, scale * noise[:, :9])


@pytest.mark.parametrize("tail", [0.0, 0.2, 0.5])
def test_a_scale_mixture_has_the_moments_of_its_parameters(tail):
    # One number of each sample, for neighbours go together.
    noise, zero = normal(3, 2**17, 2, 3, 3).double(), torch.zeros(1, 1, 1, 1).double()
    samples = scale_mixture(noise, zero + 2, zero + 0.3, zero + tail)[:, 0, 0, 2] - 2
    square, fourth = samples.square(), samples**4
    variance, kurtosis = math.exp(0.6), 3 * math.exp(4 * tail**2)
    for measured, expected in [(square, variance), (fourth, kurtosis * variance**2)]:
        error = float(measured.std()) / len(samples) ** 0.5
        assert abs(float(measured.mean()) - expected) < 4 * error


@pytest.mark.parametrize("multipliers", [(1,), (1, 2), (1, 2, 2)])
def test_samples_in_one_call_are_those_of_several(multipliers):
    found, noise, ll = (
        learnt(multipliers=multipliers),
        normal(1, 6, 10, 8, 8),
        normal(2, 2, 3, 8, 8),
    )
    together = found(noise, Condition(ll))
    apart = torch.cat([found(each, Condition(ll)) for each in noise.split(2)])
    torch.testing.assert_close(together, apart, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(together[:2], together[2:4], atol=0.1)


def test_more_samples_cost_the_finest_decoder_alone():
    found, ll = learnt(), normal(2, 1, 3, 8, 8)
    macs = {}
    for samples in (1, 2, 8):
        with FlopCounterMode(display=False) as counter:
            found(normal(1, samples, 10, 8, 8), Condition(ll))
        macs[samples] = counter.get_total_flops() / 2
    one_more = macs[2] - macs[1]
    assert macs[8] == macs[1] + 7 * one_more
    assert one_more < 0.5 * macs[1]


def test_it_depends_on_ll_and_on_all_of_its_parameters():
    found, noise = learnt(), normal(1, 2, 10, 8, 8)
    ll = normal(2, 2, 3, 8, 8).requires_grad_()
    found(noise, Condition(ll)).square().sum().backward()
    assert ll.grad.abs().sum() > 0
    silent = [
        name for name, each in found.named_parameters() if each.grad is None or not each.grad.any()
    ]
    assert not silent


def test_it_serves_bands_of_other_sides_that_it_can_halve():
    assert learnt()(normal(1, 1, 10, 16, 16), Condition(normal(2, 1, 3, 16, 16))).shape == (
        1,
        9,
        16,
        16,
    )
    with pytest.raises(ValueError, match="the side of LL must be a multiple of 2"):
        learnt()(normal(1, 1, 10, 7, 7), Condition(normal(2, 1, 3, 7, 7)))


def test_noise_for_half_a_sample_is_refused():
    with pytest.raises(
        ValueError, match="noise must be for one or more samples of each of 2 LL bands, got 3"
    ):
        network()(normal(1, 3, 10, 8, 8), Condition(normal(2, 2, 3, 8, 8)))


def test_a_negative_tail_is_refused():
    with pytest.raises(ValueError, match="first_tail must be at least 0, got -1"):
        network(first_tail=-1)
