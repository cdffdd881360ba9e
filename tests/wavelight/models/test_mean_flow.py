"""MeanFlow's identity holds for known average velocities, which take noise to the target in any number of steps."""

import pytest
import torch
from torch import nn

from tests.systems import mean_flow
from tests.wavelight.models.details import factor
from wavelight.diffusion.noise_level_sampling import LogNormalSigma
from wavelight.diffusion.schedules import Uniform
from wavelight.factorizations.base import Factor
from wavelight.factors import UNCONDITIONAL, FactorShape
from wavelight.models import MeanFlow
from wavelight.noise import Noise

SCALE = 100.0
LL = FactorShape.square(2, 4)


class OfAPoint(nn.Module):
    """The average velocity where all targets are one number: paths are straight, u = (z - number) / t."""

    def __init__(self, number):
        super().__init__()
        self.number = nn.Parameter(torch.tensor(number))

    def forward(self, z, times, condition):
        return (z - self.number) / (times[:, 0] / SCALE).reshape(-1, 1, 1, 1)


class OfAGaussian(nn.Module):
    """The average velocity of N(0, deviation^2), times ``1 + error``: paths are z_r = z_t s(r) / s(t)."""

    def __init__(self, deviation):
        super().__init__()
        self.deviation = deviation
        self.error = nn.Parameter(torch.zeros(()))

    def spread(self, t):
        return ((1 - t) ** 2 * self.deviation**2 + t**2).sqrt()

    def forward(self, z, times, condition):
        t, length = (each.reshape(-1, 1, 1, 1) for each in (times / SCALE).unbind(1))
        # s(t)^2 - s(r)^2 over the length, without the difference of near numbers.
        r, square = t - length, self.deviation**2
        slope = (1 + square) * (t + r) - 2 * square
        average = slope / (self.spread(t) * (self.spread(t) + self.spread(r)))
        return (1 + self.error) * average * z


def model(network, steps=1, **changes):
    options = {"apart": 0.75, "adaptive_power": 0.0, "time_scale": SCALE}
    return MeanFlow(
        LL,
        lambda _: network,
        lambda parameters: torch.optim.Adam(parameters, lr=3e-2),
        LogNormalSigma(0.0, 1.0),
        Uniform(),
        steps,
        **(options | changes),
    )


def noise(n):
    return Noise(0, torch.arange(n))


def test_the_exact_average_velocity_of_a_point_has_no_loss():
    exact, target = model(OfAPoint(0.7)), Factor(torch.full((64, 2, 4, 4), 0.7))
    (loss,) = exact.losses("velocity", target, 0, noise(64)).values()
    assert loss.item() == pytest.approx(0, abs=1e-8)
    wrong = model(OfAPoint(0.6)).losses("velocity", target, 0, noise(64))
    assert wrong["average_velocity"] > 0.01


@pytest.mark.parametrize("apart", [0.5, 1.0])
def test_the_exact_average_velocity_of_a_gaussian_is_where_the_loss_has_no_slope(apart):
    """Velocities are only right on average: the loss is not 0, but its gradient by the network's scale is."""
    network, deviation = OfAGaussian(0.5), 0.5
    exact, images = model(network, apart=apart), 20000

    def slope(error):
        network.error.data.fill_(error)
        target = deviation * torch.randn(
            images, 2, 4, 4, generator=torch.Generator().manual_seed(3)
        )
        (loss,) = exact.losses("velocity", Factor(target), 0, noise(images)).values()
        return torch.autograd.grad(loss, network.error)[0].item()

    assert abs(slope(0.0)) < 0.1 * abs(slope(0.1))


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_exact_average_velocity_samples_a_gaussian_in_any_number_of_steps(steps):
    exact = model(OfAGaussian(0.5), steps)
    with torch.no_grad():
        found = exact.sample((2, 4, 4), UNCONDITIONAL, noise(2000))
        start = noise(2000).normal(2, 4, 4)
    # The path from noise 1 to deviation 0.5 is a scaling.
    torch.testing.assert_close(found, 0.5 * start, atol=1e-5, rtol=1e-5)


def test_it_learns_the_scale_of_a_gaussian():
    network = OfAGaussian(0.5)
    network.error.data.fill_(0.5)
    learner = model(network)
    optimizer = learner.players()["velocity"].optimizer(network.parameters())
    for batch in range(40):
        seen = Noise(1, torch.arange(256) + 256 * batch)
        target = 0.5 * seen.normal(2, 4, 4)
        (loss,) = learner.losses("velocity", Factor(target), batch, noise(256)).values()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert network.error.item() == pytest.approx(0, abs=0.05)


def test_weights_make_the_loss_of_an_image_near_to_one_of_a_power():
    target = Factor(torch.randn(64, 2, 4, 4, generator=torch.Generator().manual_seed(0)))
    (plain,) = model(OfAPoint(0.0)).losses("velocity", target, 0, noise(64)).values()
    (weighted,) = (
        model(OfAPoint(0.0), adaptive_power=1.0).losses("velocity", target, 0, noise(64)).values()
    )
    assert plain > 1.1
    assert weighted.item() == pytest.approx(1, abs=0.01)


def test_a_unet_of_two_times_learns_details_given_ll():
    details = factor(2)
    torch.manual_seed(0)
    found = mean_flow()(FactorShape.square(9, 8, 3))
    (loss,) = found.losses("velocity", details, 0, noise(4)).values()
    loss.backward()
    # The head starts at zero, and with it everything before has no gradient yet.
    assert found.velocity.head.weight.grad.abs().sum() > 0
    assert found.sample((9, 8, 8), details.condition, noise(4)).shape == (4, 9, 8, 8)


def test_steps_are_evaluations_and_can_be_chosen():
    found, calls = model(OfAPoint(0.0)), []
    found.velocity.register_forward_hook(lambda *_: calls.append(1))
    found.take_steps(3)
    found.sample((2, 4, 4), UNCONDITIONAL, noise(2))
    assert found.steps == len(calls) == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"apart": 0.0}, "apart must be above 0 and at most 1, got 0.0"),
        ({"apart": 1.5}, "apart must be above 0 and at most 1, got 1.5"),
        ({"adaptive_power": -1.0}, "adaptive_power must be at least 0, got -1.0"),
        ({"time_scale": 0.0}, "time_scale must be above 0, got 0.0"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
    ],
)
def test_bad_options_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        model(OfAPoint(0.0), **changes)
