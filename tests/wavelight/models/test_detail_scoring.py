"""Detail scoring finds the law of details given LL, of which it knows samples alone."""

from functools import partial

import pytest
import torch
from torch import nn

from tests.wavelight.models.details import ADAM, SHAPE, factor, generator
from wavelight.factorizations.base import Factor, Refinement
from wavelight.factorizations.scaling import Eigenbasis, PerChannel, ScaledBand
from wavelight.factorizations.views import Channels, HalfWhitened, ShiftedPackets
from wavelight.factors import Condition, FactorShape
from wavelight.models import DetailScoring
from wavelight.networks import LateNoiseUNet
from wavelight.networks.one_shot import DetailGenerator
from wavelight.noise import Noise

VIEWS = [Channels(), HalfWhitened(), ShiftedPackets(levels=1)]
NETWORK = partial(LateNoiseUNet, width=8, multipliers=[1, 2], attention_resolutions=[])


def scoring(network=NETWORK, shape=SHAPE, views=VIEWS, samples=2):
    torch.manual_seed(0)
    return DetailScoring(shape, network, ADAM, views, samples)


def known(target, ll):
    """A factor of details that are scaled as they are."""
    band = ScaledBand(PerChannel(), 1, target.shape[1])
    return Factor(target, Condition(ll), Refinement(ll, band, lambda coarse, details: details))


class PointwiseGenerator(DetailGenerator):
    """A small network of each position's noise and LL."""

    def __init__(self, shape):
        super().__init__(shape.channels, shape.condition_channels, shape.channels, 0)
        inputs = shape.channels + shape.condition_channels
        self.body = nn.Sequential(
            nn.Conv2d(inputs, 32, 1), nn.SiLU(), nn.Conv2d(32, shape.channels, 1)
        )

    def forward(self, noise, condition):
        return self.body(self.conditioned(noise, condition))


def learn(model, sample, turns):
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0.02, turns)
    for turn in range(turns):
        images = torch.arange(turn * 16, turn * 16 + 16)
        loss = sum(model.losses("generator", sample(turn), turn, Noise(1, images)).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


MIX = torch.tensor([[1.0, 0.0], [0.8, 0.5]])


def gaussian(turn):
    """Two channels of a mean and a scale that LL chooses, which covary."""
    random = torch.Generator().manual_seed(turn)
    ll = torch.randint(2, (16, 1, 8, 8), generator=random).float()
    white = torch.randn(16, 2, 8, 8, generator=random)
    details = 2 * ll - 1 + (0.5 + ll) * torch.einsum("ij,njhw->nihw", MIX, white)
    return known(details, ll)


@pytest.mark.parametrize("samples", [2, 4])
def test_it_finds_a_conditional_gaussian(samples):
    # Sums and differences of channels see their covariance.
    model = scoring(
        PointwiseGenerator, FactorShape.square(2, 8, 1), [Channels(), Summed()], samples
    )
    learn(model, gaussian, 200)
    truth = gaussian(999)
    ll = truth.condition.ll
    with torch.no_grad():
        found = model.ensemble(64, truth.condition, Noise(2, torch.arange(16)))
    for value in (0, 1):
        at = found.permute(2, 0, 1, 3, 4)[:, :, ll[:, 0] == value].flatten(1)
        assert at.mean(1).tolist() == pytest.approx([2 * value - 1] * 2, abs=0.2)
        expected = (0.5 + value) ** 2 * MIX @ MIX.T
        torch.testing.assert_close(at.cov(), expected, atol=0.15 * (1 + 3 * value), rtol=0)


class Summed(Channels):
    name = "summed"

    def __call__(self, details, band, turn):
        first, second = details.chunk(2, dim=1)
        return torch.cat([first + second, first - second], dim=1)


def two_points(turn):
    """1 with a probability of 0.8 where LL is 1, and of 0.3 where it is 0; else -1."""
    random = torch.Generator().manual_seed(turn)
    ll = torch.randint(2, (16, 1, 8, 8), generator=random).float()
    ones = torch.rand(16, 1, 8, 8, generator=random) < 0.3 + 0.5 * ll
    return known(2 * ones.float() - 1, ll)


class StepGenerator(DetailGenerator):
    """A step from -1 to 1 where noise passes a threshold that LL chooses."""

    def __init__(self, shape):
        super().__init__(1, 1, 1, 0)
        self.threshold = nn.Conv2d(1, 1, 1)
        self.steepness = nn.Parameter(torch.zeros(()))

    def forward(self, noise, condition):
        ll = condition.ll.repeat(len(noise) // len(condition.ll), 1, 1, 1)
        return torch.tanh(self.steepness.exp() * (noise + self.threshold(ll)))


def test_it_finds_a_law_of_two_points():
    model = scoring(StepGenerator, FactorShape.square(1, 8, 1), [Channels()])
    learn(model, two_points, 250)
    truth = two_points(999)
    with torch.no_grad():
        found = model.ensemble(32, truth.condition, Noise(2, torch.arange(16)))
    assert (found.abs() - 1).abs().median() < 0.05
    for value in (0, 1):
        at = found[:, truth.condition.ll == value]
        assert (at > 0).float().mean().item() == pytest.approx(0.3 + 0.5 * value, abs=0.06)


def test_its_terms_are_those_of_its_views():
    model, images = scoring(), Noise(0, torch.arange(4))
    details = factor(2, Eigenbasis())
    losses = model.losses("generator", details, 0, images)
    assert list(losses) == ["channels", "half_whitened", "packets"]
    assert len({value.item() for value in losses.values()}) == 3
    doubled = scoring(views=[Channels(weight=2.0), HalfWhitened(weight=0.0)])
    (twice,) = doubled.losses("generator", details, 0, Noise(0, torch.arange(4))).values()
    torch.testing.assert_close(twice, 2 * losses["channels"])


def test_samples_of_one_call_are_the_samples_of_several():
    model, condition = scoring(), factor(2).condition
    many = model.ensemble(2, condition, Noise(0, torch.arange(4)))
    one = model.sample((9, 8, 8), condition, Noise(0, torch.arange(4)))
    torch.testing.assert_close(many[0], one)
    assert not torch.allclose(many[0], many[1])


class OnlyCalled(nn.Module):
    """A network of which nothing is left but its call, as of a compiled one."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, noise, condition):
        return self.network(noise, condition)


@pytest.mark.parametrize("network", [NETWORK, generator(noise_channels=3)])
def test_sampling_asks_a_generator_for_nothing_but_its_call(network):
    model, condition = scoring(network).eval(), factor(2).condition
    expected = model.sample((9, 8, 8), condition, Noise(0, torch.arange(4)))
    model.generator = OnlyCalled(model.generator)
    assert torch.equal(model.sample((9, 8, 8), condition, Noise(0, torch.arange(4))), expected)


def test_any_generator_with_noise_will_do():
    model = scoring(generator(noise_channels=3))
    losses = model.losses("generator", factor(1), 0, Noise(0, torch.arange(4)))
    sum(losses.values()).backward()
    assert all(parameter.grad is not None for parameter in model.generator.parameters())


def test_bad_options_are_refused():
    with pytest.raises(ValueError, match="samples must be at least 2, got 1"):
        scoring(samples=1)
    with pytest.raises(
        ValueError, match=r"views must have one of a weight above 0, got weights \[\]"
    ):
        scoring(views=[])
    with pytest.raises(ValueError, match="noise_channels of the generator must be at least 1"):
        scoring(generator(noise_channels=0))
    with pytest.raises(ValueError, match="DetailScoring models details given LL, which this"):
        scoring(shape=FactorShape.square(3, 8))
    with pytest.raises(
        ValueError, match="levels of ShiftedPackets must halve the side of the target"
    ):
        scoring(views=[ShiftedPackets(levels=4)])
