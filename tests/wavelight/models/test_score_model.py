"""A score model learns to denoise, and samples what its denoiser describes."""

from functools import partial

import pytest
import torch
from torch import nn

from tests.systems import score_model as tiny_score_model
from wavelight.diffusion.noise_level_sampling import LogNormalSigma, QuadraticTimes
from wavelight.diffusion.parameterizations import (
    EpsPrediction,
    FlowPrediction,
    Preconditioned,
    VPrediction,
)
from wavelight.diffusion.processes import OrnsteinUhlenbeck, RectifiedFlow
from wavelight.diffusion.samplers import ancestral, ddim, dpmpp_2m, euler_maruyama, heun
from wavelight.diffusion.schedules import Karras, Quadratic, Uniform
from wavelight.factorizations.base import Factor
from wavelight.factors import UNCONDITIONAL, Condition, FactorShape
from wavelight.models import ScoreModel
from wavelight.noise import Noise

SHAPE = (2, 4, 4)
PROCESS = OrnsteinUhlenbeck(5.0)


class White(nn.Module):
    """The exact network of standard normal targets plus their condition, for each parameterization."""

    def __init__(self, parameterization, process=PROCESS):
        super().__init__()
        self.parameterization = parameterization
        self.process = process
        self.error = nn.Parameter(torch.zeros(()))
        self.calls = []

    def forward(self, x, c_noise, condition):
        self.calls.append(c_noise)
        if isinstance(self.parameterization, Preconditioned):
            t = self.process.time_of((4 * c_noise).exp())
        else:
            t = c_noise / self.parameterization.time_scale
        skip, out, inner, _ = (
            value.reshape(-1, 1, 1, 1)
            for value in self.parameterization.preconditioning(self.process, t)
        )
        mean = torch.zeros_like(x) if condition.ll is None else condition.ll
        alpha, sigma = (
            of(t).reshape(-1, 1, 1, 1) for of in (self.process.alpha, self.process.sigma)
        )
        xt = x / inner
        denoised = mean + alpha / (alpha**2 + sigma**2) * (xt - alpha * mean)
        return (denoised - skip * xt) / out + self.error * x


def score_model(parameterization=None, sampler=heun, network=None, **changes):
    parameterization = parameterization or EpsPrediction()
    options = {
        "shape": FactorShape(*SHAPE),
        "network": lambda _: network or White(parameterization),
        "optimizer": partial(torch.optim.Adam, lr=1e-3),
        "process": PROCESS,
        "parameterization": parameterization,
        "noise_level_sampling": QuadraticTimes(),
        "sampler": sampler,
        "schedule": Quadratic(),
        "steps": 32,
    }
    return ScoreModel(**(options | changes))


def flow(sampler=ddim, **changes):
    """Flow matching."""
    options = {
        "network": White(FlowPrediction(), RectifiedFlow()),
        "process": RectifiedFlow(),
        "noise_level_sampling": LogNormalSigma(0, 1),
        "schedule": Uniform(),
    }
    return score_model(
        sampler=sampler, **(options | {"parameterization": FlowPrediction()} | changes)
    )


def noise(n=512):
    return Noise(0, torch.arange(n))


@pytest.mark.parametrize("parameterization", [EpsPrediction(), VPrediction(), Preconditioned()])
@pytest.mark.parametrize("sampler", [ancestral, ddim, dpmpp_2m, euler_maruyama, heun])
def test_the_exact_network_draws_the_distribution(parameterization, sampler):
    condition = Condition(torch.linspace(-3, 3, 512)[:, None, None, None].expand(-1, *SHAPE))
    model = score_model(parameterization, sampler, steps=64)
    with torch.no_grad():
        generated = model.sample(SHAPE, condition, noise()) - condition.ll
    assert abs(generated.mean()) < 0.05
    assert abs(generated.std() - 1) < 0.05


@pytest.mark.parametrize("sampler", [ancestral, ddim, dpmpp_2m, euler_maruyama, heun])
def test_the_exact_network_of_a_flow_draws_the_distribution(sampler):
    condition = Condition(torch.linspace(-3, 3, 512)[:, None, None, None].expand(-1, *SHAPE))
    # The reverse equation has no finite terms at time 1.
    schedule = Karras() if sampler is euler_maruyama else Uniform()
    with torch.no_grad():
        generated = flow(sampler, schedule=schedule, steps=64).sample(SHAPE, condition, noise())
    assert abs((generated - condition.ll).mean()) < 0.05
    assert abs((generated - condition.ll).std() - 1) < 0.05
    assert (generated - condition.ll).flatten(1).mean(1).abs().max() < 1


@pytest.mark.parametrize("parameterization", [EpsPrediction(), Preconditioned()])
def test_predictions_that_denoise_nothing_at_the_start_are_refused(parameterization):
    with pytest.raises(ValueError, match="schedule must start before time 1 of RectifiedFlow"):
        flow(parameterization=parameterization)


@pytest.mark.parametrize(
    "model",
    [*map(score_model, [EpsPrediction(), VPrediction(), Preconditioned()]), flow()],
    ids=lambda model: type(model.parameterization).__name__,
)
def test_the_exact_network_has_the_least_loss(model):
    """What it leaves of its target has nothing to do with what it reads."""
    target = torch.randn(4096, *SHAPE, generator=torch.Generator().manual_seed(1))
    (loss,) = model.losses("score", Factor(target), 0, noise(4096)).values()
    (slope,) = torch.autograd.grad(loss, model.score.error)
    assert abs(slope) < 0.02
    with torch.no_grad():
        model.score.error.add_(0.2)
    (worse,) = model.losses("score", Factor(target), 0, noise(4096)).values()
    assert worse > loss


def test_evaluations_follow_from_the_sampler():
    for sampler, expected in ((ancestral, 5), (heun, 9)):
        model = score_model(sampler=sampler, steps=5)
        model.sample(SHAPE, UNCONDITIONAL, noise(2))
        assert len(model.score.calls) == expected


def test_clipping_keeps_pixels_in_range():
    model = score_model(sampler=ddim, clip=True)
    assert model.sample(SHAPE, UNCONDITIONAL, noise()).abs().max() <= 1
    assert score_model(sampler=ddim).sample(SHAPE, UNCONDITIONAL, noise()).abs().max() > 1


def test_noise_of_the_condition_is_added_while_learning_and_while_drawing():
    seen = []

    class Watching(White):
        def forward(self, x, c_noise, condition):
            seen.append(condition.ll)
            return super().forward(x, c_noise, condition)

    condition = Condition(torch.zeros(512, *SHAPE))
    for level in (0.0, 0.5):
        network = Watching(EpsPrediction())
        model = score_model(network=network, condition_noise=level, steps=2)
        model.losses("score", Factor(torch.zeros(512, *SHAPE), condition), 0, noise())
        model.sample(SHAPE, condition, noise())
        for given in seen:
            assert given.std().item() == pytest.approx(level, abs=0.02)
        # While an image is generated its condition is one and the same.
        assert all(torch.equal(given, seen[1]) for given in seen[1:])
        seen.clear()


@pytest.mark.parametrize("condition_channels", [0, 3])
def test_its_network_is_built_for_the_factor(condition_channels):
    model = tiny_score_model(steps=2)(FactorShape.square(9, 8, condition_channels))
    assert model.score.channels == 9
    assert model.score.resolution == 8
    assert model.score.condition_channels == condition_channels
    condition = Condition(torch.zeros(2, 3, 8, 8) if condition_channels else None)
    assert model.sample((9, 8, 8), condition, noise(2)).shape == (2, 9, 8, 8)


@pytest.mark.parametrize("sampler", [ancestral, heun])
def test_the_steps_can_be_chosen_after_training(sampler):
    model = score_model(sampler=sampler, steps=5)
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    assert model.steps == 5
    model.take_steps(9)
    assert model.steps == 9
    made = score_model(sampler=sampler, steps=9)
    assert torch.equal(model.times, made.times)
    assert torch.equal(
        model.sample(SHAPE, UNCONDITIONAL, noise(2)), made.sample(SHAPE, UNCONDITIONAL, noise(2))
    )
    assert model.state_dict().keys() == weights.keys()
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())


def test_no_step_is_refused_and_leaves_the_steps_as_they_were():
    model = score_model(steps=5)
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        model.take_steps(0)
    assert model.steps == 5


def test_the_one_player_draws():
    ((name, player),) = score_model().players().items()
    assert name == "score"
    assert player.samples


def test_negative_noise_is_refused():
    with pytest.raises(ValueError, match="condition_noise must be at least 0, got -1"):
        score_model(condition_noise=-1)
