import pytest
import torch

from wavelight.diffusion import (
    FewStepDiffusion,
    LinearVariancePreserving,
    OrnsteinUhlenbeck,
    VarianceExploding,
)


def test_published_noise_levels():
    end = torch.tensor(5.0, dtype=torch.float64)
    assert OrnsteinUhlenbeck(5.0).sigma_over_alpha(end).item() == pytest.approx(148.4, abs=0.02)
    t = torch.tensor(0.5, dtype=torch.float64)
    linear = LinearVariancePreserving()
    assert linear.alpha(t).log().item() == pytest.approx(-(0.25 * 19.9 / 4) - 0.1 * 0.5 / 2)
    # The chain of denoising diffusion GANs ends in the same process, but for its first time of 1e-3.
    assert linear.alpha(2 * t).item() == pytest.approx(
        FewStepDiffusion(4).alpha_bar[-1].item(), rel=1e-3
    )


def test_ornstein_uhlenbeck_is_variance_preserving_at_a_constant_rate_of_2():
    t = torch.linspace(0, 1, 11, dtype=torch.float64)
    constant, process = LinearVariancePreserving(2, 2), OrnsteinUhlenbeck(1.0)
    for name in ["alpha", "sigma", "drift", "diffusion", "sigma_over_alpha"]:
        torch.testing.assert_close(getattr(constant, name)(t), getattr(process, name)(t))


@pytest.mark.parametrize(
    "build",
    [
        lambda: OrnsteinUhlenbeck(0),
        lambda: OrnsteinUhlenbeck(float("inf")),
        lambda: LinearVariancePreserving(0, 20),
        lambda: LinearVariancePreserving(20, 0.1),
        lambda: VarianceExploding(-1, 80),
        lambda: VarianceExploding(80, 80),
    ],
)
def test_noise_must_rise(build):
    with pytest.raises(ValueError, match=r"beta_min and beta_max must be|start and end must be"):
        build()
