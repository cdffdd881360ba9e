"""Distributional diffusion begins as the exact posterior of white targets, and samples in any number of steps."""

from functools import partial

import pytest
import torch

from tests.systems import NETWORK, distributional
from tests.wavelight.models.details import ADAM, factor
from wavelight.diffusion.noise_level_sampling import LogNormalSigma
from wavelight.diffusion.processes import RectifiedFlow, VarianceExploding
from wavelight.diffusion.schedules import Karras, Uniform
from wavelight.factorizations.base import Factor
from wavelight.factorizations.scaling import Eigenbasis
from wavelight.factorizations.views import Channels, ShiftedPackets
from wavelight.factors import Condition, FactorShape
from wavelight.models import DistributionalDiffusion
from wavelight.networks.dropout import image_masks
from wavelight.noise import Noise

LL = FactorShape.square(3, 8)
CHANNELS = [Channels()]
PROCESSES = [VarianceExploding(largest=80.0), RectifiedFlow()]


def model(shape=LL, steps=2, process=PROCESSES[0], views=CHANNELS, samples=2, smallest=0.1):
    torch.manual_seed(0)
    return DistributionalDiffusion(
        shape,
        NETWORK,
        ADAM,
        process,
        LogNormalSigma(0.0, 1.5),
        Karras(smallest, 80.0),
        steps,
        views,
        samples,
    )


def noise(n, start=0):
    return Noise(0, torch.arange(start, start + n))


@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_it_begins_by_sampling_white_targets(process, steps):
    with torch.no_grad():
        found = model(process=process, steps=steps).sample((3, 8, 8), Condition(), noise(256))
    numbers = found.flatten(1)
    assert numbers.mean().abs() < 0.03
    assert numbers.std().item() == pytest.approx(1, abs=0.03)
    # White: the correlation of neighbours is 0 but for its standard error of 0.005.
    assert (found[..., 1:] * found[..., :-1]).mean().abs() < 0.025


@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)
def test_it_begins_as_the_posterior_of_white_targets(process):
    """Mean and variance of x_0 given x_t, for x_0 of N(0, 1)."""
    found, t = model(process=process), torch.full((2000,), 0.6)
    alpha, sigma = process.alpha(t)[0], process.sigma(t)[0]
    xt = torch.ones(2000, 3, 8, 8)
    with torch.no_grad():
        x0 = found._clean(xt, t, noise(2000).normal(3, 8, 8), Condition())
    total = alpha**2 + sigma**2
    assert x0.mean().item() == pytest.approx((alpha / total).item(), abs=0.01)
    assert x0.std().item() == pytest.approx((sigma / total.sqrt()).item(), rel=0.01)


@pytest.mark.parametrize("samples", [2, 3])
def test_its_score_is_the_exact_one_of_the_posterior(samples):
    """White targets have the CRPS of N(0, 1) to itself, 1 / sqrt(pi), in units of c_out."""
    found = model(samples=samples)
    random = torch.Generator().manual_seed(1)
    target = torch.randn(512, 3, 8, 8, generator=random)
    with torch.no_grad():
        (score,) = found.losses("denoiser", Factor(target), 0, noise(512)).values()
    assert score.item() == pytest.approx(torch.pi**-0.5, abs=0.01)


def test_it_models_details_given_ll_and_scores_them_in_their_views():
    details = factor(2, Eigenbasis())
    found = model(FactorShape.square(9, 8, 3), views=[Channels(), ShiftedPackets(levels=1)])
    losses = found.losses("denoiser", details, 0, noise(4))
    assert list(losses) == ["channels", "packets"]
    sum(losses.values()).backward()
    assert found.sample((9, 8, 8), details.condition, noise(4)).shape == (4, 9, 8, 8)
    stem = found.denoiser.stem.weight
    assert stem.shape[1] == 9 + 3 + 9


def test_its_network_may_drop_features():
    """Whose masks belong to the images of a step, of which there are as many as targets, not as samples."""
    torch.manual_seed(0)
    found = distributional(network=partial(NETWORK, dropout=0.5))(LL)
    images = noise(4)
    with image_masks(noise(4)):
        losses = found.losses("denoiser", Factor(images.normal(3, 8, 8)), 0, images)
    assert all(loss.isfinite() for loss in losses.values())


def test_one_step_goes_from_noise_to_the_target_in_one_evaluation():
    found, calls = model(steps=1), []
    found.denoiser.register_forward_hook(lambda *_: calls.append(1))
    found.sample((3, 8, 8), Condition(), noise(2))
    assert len(calls) == 1
    found.take_steps(4)
    assert found.steps == 4


def test_bad_options_are_refused():
    with pytest.raises(ValueError, match="samples must be at least 2, got 1"):
        model(samples=1)
    with pytest.raises(
        ValueError, match=r"views must have one of a weight above 0, got weights \[\]"
    ):
        model(views=[])
    with pytest.raises(ValueError, match="steps"):
        model(steps=0)


def test_a_start_where_nothing_is_left_is_refused():
    with pytest.raises(ValueError, match="schedule must start before time 1 of RectifiedFlow"):
        DistributionalDiffusion(
            LL, NETWORK, ADAM, RectifiedFlow(), LogNormalSigma(), Uniform(), 2, CHANNELS
        )


def test_the_same_images_are_sampled_every_time():
    found = model(steps=3)
    one, other = (found.sample((3, 8, 8), Condition(), noise(2)) for _ in range(2))
    assert torch.equal(one, other)
