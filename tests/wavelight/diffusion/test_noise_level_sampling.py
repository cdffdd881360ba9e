"""Training times follow the distributions that the papers give them."""

import pytest
import torch

from wavelight.diffusion.noise_level_sampling import (
    LogNormalSigma,
    QuadraticTimes,
    UniformTimesteps,
)
from wavelight.diffusion.processes import OrnsteinUhlenbeck, RectifiedFlow, VarianceExploding

U = (torch.arange(10_000) / 10_000).float()


@pytest.mark.parametrize("times", [UniformTimesteps(), QuadraticTimes(), LogNormalSigma()])
@pytest.mark.parametrize("process", [OrnsteinUhlenbeck(5.0), RectifiedFlow()])
def test_times_are_the_process_s_and_never_at_the_image(times, process):
    generated = times(process, U)
    assert generated.shape == U.shape
    assert (generated > 0).all()
    assert (generated <= process.end).all()
    assert (generated.diff() >= 0).all()


def test_quantiles():
    process, middle = OrnsteinUhlenbeck(5.0), torch.tensor([0.5])
    assert UniformTimesteps(0)(process, middle).item() == 2.5
    assert QuadraticTimes(0)(process, middle).item() == 1.25
    ratios = process.sigma_over_alpha(LogNormalSigma(-0.5, 1.2)(process, U[1:].double())).log()
    assert ratios.median().item() == pytest.approx(-0.5, abs=1e-3)
    assert ratios.std().item() == pytest.approx(1.2, rel=1e-2)
    exploding = VarianceExploding(0.002, 80.0)
    assert LogNormalSigma(-1.2)(exploding, middle).item() == pytest.approx(2.71828**-1.2)


def test_times_of_a_flow_are_logit_normal():
    """Stable Diffusion 3's: t = 1 / (1 + exp(-n)) with n standard normal, here at its quantiles -1, 0 and 1."""
    u = torch.tensor([0.15865525, 0.5, 0.84134475], dtype=torch.float64)
    expected = torch.tensor([0.26894142, 0.5, 0.73105858], dtype=torch.float64)
    torch.testing.assert_close(LogNormalSigma(0, 1)(RectifiedFlow(), u), expected)
    assert UniformTimesteps(0)(RectifiedFlow(), u).tolist() == u.tolist()
