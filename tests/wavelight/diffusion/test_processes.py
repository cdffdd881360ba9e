import math

import pytest
import torch

from wavelight.diffusion import (
    LinearVariancePreserving,
    OrnsteinUhlenbeck,
    RectifiedFlow,
    VarianceExploding,
)

PRESERVING = [OrnsteinUhlenbeck(5.0), LinearVariancePreserving(), LinearVariancePreserving(2, 2)]
PROCESSES = [*PRESERVING, VarianceExploding(), VarianceExploding(0.01, 50), RectifiedFlow()]

pytestmark = pytest.mark.parametrize(
    "process", PROCESSES, ids=lambda process: type(process).__name__
)
precisions = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def times(process, dtype=torch.float64):
    return torch.linspace(process.start, process.end, 41, dtype=dtype)


@precisions
def test_variance_is_preserved_or_explodes_or_the_path_is_straight(process, dtype):
    t = times(process, dtype)
    alpha, sigma = process.alpha(t), process.sigma(t)
    if process in PRESERVING:
        torch.testing.assert_close(alpha**2 + sigma**2, torch.ones_like(t))
    else:
        straight = isinstance(process, RectifiedFlow)
        assert torch.equal(alpha, 1 - t if straight else torch.ones_like(t))
        assert torch.equal(sigma, t)


def test_drift_and_diffusion_are_the_derivatives_of_the_marginals(process):
    t, step = times(process)[1:-1], 1e-6

    def slope(function):
        return (function(t + step) - function(t - step)) / (2 * step)

    drift = slope(lambda t: process.alpha(t).log())
    torch.testing.assert_close(process.drift(t), drift, atol=1e-7, rtol=1e-6)
    variance = slope(lambda t: process.sigma(t) ** 2)
    diffusion = variance - 2 * drift * process.sigma(t) ** 2
    torch.testing.assert_close(process.diffusion(t), diffusion, atol=1e-6, rtol=1e-6)


@precisions
def test_time_of_inverts_ratio(process, dtype):
    t = times(process, dtype)
    torch.testing.assert_close(process.time_of(process.sigma_over_alpha(t)), t)


def test_float32_keeps_its_digits_at_small_noise(process):
    t = torch.logspace(-7, -3, 9, dtype=torch.float64)
    torch.testing.assert_close(
        process.sigma_over_alpha(t.float()).double(), process.sigma_over_alpha(t), atol=0, rtol=1e-6
    )
    ratio = process.sigma_over_alpha(t)
    torch.testing.assert_close(
        process.time_of(ratio.float()).double(), process.time_of(ratio), atol=0, rtol=1e-6
    )


@precisions
def test_perturbed_images_have_the_moments_of_the_process(process, dtype):
    generator = torch.Generator().manual_seed(0)
    t = times(process)[[1, 20, 40]]
    noise = torch.randn(3, 1, 300, 300, generator=generator, dtype=dtype)
    xt = process.perturb(torch.full_like(noise, 0.5), t, noise)
    assert xt.dtype == dtype
    std, mean = torch.std_mean(xt.double(), dim=(1, 2, 3))
    # Five standard errors of 90,000 pixels.
    assert ((mean - 0.5 * process.alpha(t)).abs() < 5 / 300 * process.sigma(t)).all()
    assert ((std / process.sigma(t) - 1).abs() < 5 / 300 / math.sqrt(2)).all()


@precisions
def test_one_time_perturbs_as_that_time_for_each_image(process, dtype):
    x0, noise = torch.randn(2, 4, 3, 2, 2, dtype=dtype)
    t = torch.tensor(process.end / 2, dtype=torch.float64)
    torch.testing.assert_close(
        process.perturb(x0, t, noise), process.perturb(x0, t.expand(4), noise)
    )


def test_clean_image_is_kept_at_time_0(process):
    x0, noise = torch.randn(2, 4, 3, 2, 2)
    assert torch.equal(process.perturb(x0, torch.zeros(4), noise), x0)


def test_shapes_of_times_are_kept(process):
    for shape in [(), (3,)]:
        t = torch.full(shape, 0.5)
        for name in ["alpha", "sigma", "drift", "diffusion", "sigma_over_alpha", "time_of"]:
            assert getattr(process, name)(t).shape == shape
