"""A linear-Gaussian model learns mean and covariance, and samples what it has learnt."""

from functools import partial

import pytest
import torch
from torch.nn import functional

from wavelight.factorizations.base import Factor
from wavelight.factorizations.pyramids import LaplacianPyramid, Pyramid
from wavelight.factors import Condition, FactorShape
from wavelight.models import LinearGaussian
from wavelight.noise import Noise

ADAM = partial(torch.optim.Adam, lr=0.03)
SIGMA = torch.tensor([[1.0, 0.6, 0.0], [0.6, 0.5, -0.1], [0.0, -0.1, 0.2]])
BIAS = torch.tensor([0.3, -0.2, 0.0])


def known_kernel():
    return torch.randn(3, 2, 3, 3, generator=torch.Generator().manual_seed(5)) / 4


def known_factor(n=64):
    """A condition that is not white, and a target of known mean and covariance."""
    generator = torch.Generator().manual_seed(6)
    condition = torch.randn(n, 2, 8, 8, generator=generator)
    condition = condition + condition.roll(1, dims=3) / 2
    around = functional.pad(condition, (1, 1, 1, 1), mode="replicate")
    mean = functional.conv2d(around, known_kernel(), BIAS)
    noise = torch.randn(mean.shape, generator=generator)
    return Factor(
        mean + torch.einsum("ij,njhw->nihw", torch.linalg.cholesky(SIGMA), noise),
        Condition(condition),
    )


def model(channels=3, condition_channels=2, kernel_size=3):
    return LinearGaussian(FactorShape.square(channels, 8, condition_channels), kernel_size, ADAM)


def noise(n):
    return Noise(0, torch.arange(n))


@pytest.fixture(scope="module")
def learnt():
    found, factor = model(), known_factor()
    ((name, player),) = found.players().items()
    optimizer = player.optimizer(player.network.parameters())
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0.02, 200)
    for turn in range(200):
        optimizer.zero_grad()
        sum(found.losses(name, factor, turn, noise(64)).values()).backward()
        optimizer.step()
        schedule.step()
    return found


def test_mean_and_covariance_are_recovered(learnt):
    network = learnt.gaussian
    # Of 4,096 positions, standard errors are about 0.02.
    torch.testing.assert_close(network.mean.weight.data, known_kernel(), atol=0.08, rtol=0)
    torch.testing.assert_close(network.mean.bias.data, BIAS, atol=0.06, rtol=0)
    cholesky = network.cholesky().detach()
    torch.testing.assert_close(cholesky @ cholesky.T, SIGMA, atol=0.06, rtol=0)
    identity = network.whitening() @ cholesky
    torch.testing.assert_close(identity.detach(), torch.eye(3), atol=1e-5, rtol=0)


def test_it_reaches_the_entropy_of_the_data(learnt):
    """(log det Sigma + 3 log(2 pi e)) / 2 nats in three numbers."""
    (loss,) = learnt.losses("gaussian", known_factor(), 0, noise(64)).values()
    entropy = torch.distributions.MultivariateNormal(torch.zeros(3), SIGMA).entropy() / 3
    assert loss.item() == pytest.approx(entropy.item(), abs=0.02)


def test_the_loss_is_the_negative_log_likelihood():
    found, factor = model(), known_factor(2)
    for parameter in found.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    mean = found.gaussian.mean(factor.condition.true_ll()).permute(0, 2, 3, 1)
    law = torch.distributions.MultivariateNormal(mean, scale_tril=found.gaussian.cholesky())
    expected = -law.log_prob(factor.target.permute(0, 2, 3, 1)).mean() / 3
    (loss,) = found.losses("gaussian", factor, 0, noise(2)).values()
    torch.testing.assert_close(loss, expected)


def test_draws_have_the_learnt_moments(learnt):
    condition = known_factor().condition
    with torch.no_grad():
        generated = learnt.sample((3, 8, 8), condition, noise(64))
        left = (generated - learnt.gaussian.mean(condition.true_ll())).transpose(0, 1).flatten(1)
    assert left.mean(1).abs().max() < 0.06
    torch.testing.assert_close(left.cov(), SIGMA, atol=0.08, rtol=0)


def test_it_begins_as_white_noise():
    generated = model().sample((3, 8, 8), known_factor(4).condition, noise(4))
    assert torch.equal(generated, noise(4).normal(3, 8, 8))


@pytest.mark.parametrize(("pyramid", "channels"), [(Pyramid(2), 9), (LaplacianPyramid(2), 3)])
def test_it_models_the_details_of_any_pyramid(pyramid, channels):
    found = model(channels, 3, 5)
    _, *details = pyramid.encode(torch.randn(2, 3, 16, 16))
    for factor, shape in zip(details, pyramid.target_shapes((3, 16, 16))[1:], strict=True):
        found.check(bounded=False)
        assert found.losses("gaussian", factor, 0, noise(2))["negative_log_likelihood"].isfinite()
        assert found.sample(shape, factor.condition, noise(2)).shape == factor.target.shape


def test_factors_that_it_cannot_draw_are_refused():
    with pytest.raises(
        ValueError,
        match=r"^LinearGaussian models details given LL, which this factor has not; use it for the "
        r"details of a pyramid$",
    ):
        model(condition_channels=0)


@pytest.mark.parametrize("kernel_size", [0, 4])
def test_a_kernel_without_a_middle_is_refused(kernel_size):
    with pytest.raises(ValueError, match=f"odd and at least 1, got {kernel_size}"):
        model(kernel_size=kernel_size)
