"""What a network predicts makes the denoised image, whatever it is that it predicts."""

import pytest
import torch

from wavelight.diffusion.parameterizations import (
    EpsPrediction,
    FlowPrediction,
    Preconditioned,
    VPrediction,
)
from wavelight.diffusion.processes import OrnsteinUhlenbeck, RectifiedFlow, VarianceExploding

TIMES = torch.tensor([1e-3, 0.1, 1.0, 4.9], dtype=torch.float64)[:, None]
ALL = [EpsPrediction(), VPrediction(), FlowPrediction(), Preconditioned(), Preconditioned(0.5)]


def draws(n=1):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 4, n, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(
    "process", [OrnsteinUhlenbeck(5.0), VarianceExploding(1e-3, 5.0), RectifiedFlow()]
)
@pytest.mark.parametrize("parameterization", ALL)
def test_a_perfect_network_denoises_perfectly(parameterization, process):
    if isinstance(parameterization, VPrediction) and not isinstance(process, OrnsteinUhlenbeck):
        pytest.skip("v-prediction is for processes that preserve variance")
    x0, noise = draws()
    times = TIMES * process.end / 5
    xt = process.alpha(times) * x0 + process.sigma(times) * noise
    coefficients = parameterization.preconditioning(process, times)
    predicted = parameterization.target(process, x0, times, noise)
    torch.testing.assert_close(coefficients.c_skip * xt + coefficients.c_out * predicted, x0)


def test_a_flow_s_velocity_denoises_noise_alone():
    skip, out, inner, c_noise = FlowPrediction().preconditioning(
        RectifiedFlow(), torch.tensor([0.25, 1.0])
    )
    assert skip.tolist() == inner.tolist() == [1, 1]
    assert out.tolist() == [-0.25, -1]
    assert c_noise.tolist() == [250, 1000]


@pytest.mark.parametrize("sigma_data", [1.0, 0.5])
def test_preconditioned_networks_read_and_predict_unit_variance(sigma_data):
    process, parameterization = OrnsteinUhlenbeck(5.0), Preconditioned(sigma_data)
    x0, noise = draws(200_000)
    x0 = sigma_data * x0
    xt = process.alpha(TIMES) * x0 + process.sigma(TIMES) * noise
    read = parameterization.preconditioning(process, TIMES).c_in * xt
    predicted = parameterization.target(process, x0, TIMES, noise)
    for values in (read, predicted):
        torch.testing.assert_close(values.std(1), torch.ones(4).double(), atol=0.01, rtol=0)


def test_times_are_told_in_thousandths_of_five_and_noise_levels_by_their_logarithm():
    process = OrnsteinUhlenbeck(5.0)
    t = torch.tensor([5.0, 0.01])
    assert EpsPrediction().preconditioning(process, t).c_noise.tolist() == [1000.0, 2.0]
    expected = process.sigma_over_alpha(t).log() / 4
    torch.testing.assert_close(Preconditioned().preconditioning(process, t).c_noise, expected)


def test_data_without_spread_is_refused():
    with pytest.raises(ValueError, match="sigma_data must be positive, got 0"):
        Preconditioned(0)
