"""Fair scores have the expectation of the exact ones, whatever the number of samples."""

import math

import pytest
import torch

from wavelight.losses.scoring_rules import fair_crps, fair_energy_score

ENSEMBLES = 40_000


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def crps_of_normal(y):
    """CRPS of N(0, 1) (Gneiting and Raftery, 2007, below equation 20)."""
    below = (1 + math.erf(y / math.sqrt(2))) / 2
    density = math.exp(-(y**2) / 2) / math.sqrt(2 * math.pi)
    return y * (2 * below - 1) + 2 * density - 1 / math.sqrt(math.pi)


def assert_mean(scores, expected):
    standard_error = scores.std().item() / math.sqrt(len(scores))
    assert scores.mean().item() == pytest.approx(expected, abs=4 * standard_error)


@pytest.mark.parametrize("samples", [2, 3, 4])
@pytest.mark.parametrize("y", [0.0, 0.7, -2.0])
def test_the_crps_of_a_gaussian(samples, y):
    ensemble = torch.randn(samples, ENSEMBLES, generator=generator())
    assert_mean(fair_crps(ensemble, torch.full((ENSEMBLES,), y)), crps_of_normal(y))


@pytest.mark.parametrize("samples", [2, 3, 4])
@pytest.mark.parametrize(("y", "expected"), [(1.0, 0.7**2), (0.0, 0.3**2)])
def test_the_crps_of_two_points(samples, y, expected):
    """1 with a probability of 0.3, else 0: the integral of (F - 1{y <= x})^2."""
    ensemble = (torch.rand(samples, ENSEMBLES, generator=generator()) < 0.3).float()
    assert_mean(fair_crps(ensemble, torch.full((ENSEMBLES,), y)), expected)


def test_the_energy_score_of_numbers_is_their_crps():
    ensemble = torch.randn(3, 50, 1, generator=generator())
    true = torch.randn(50, 1, generator=generator(1))
    torch.testing.assert_close(
        fair_energy_score(ensemble, true), fair_crps(ensemble, true).squeeze(1)
    )


def test_the_energy_score_takes_euclidean_norms():
    ensemble = torch.tensor([[[3.0, 4.0]], [[0.0, 0.0]]])
    assert fair_energy_score(ensemble, torch.zeros(1, 2)).tolist() == [5 / 2 - 5 / 2]


@pytest.mark.parametrize("samples", [2, 3, 4])
def test_the_least_mean_score_has_the_true_law(samples):
    """Of Gaussians for a standard Gaussian truth; the exact excess is the integral of the squared difference of F."""
    truth = torch.randn(ENSEMBLES, generator=generator(1))
    white = torch.randn(samples, ENSEMBLES, generator=generator(2))

    def score(location, scale):
        return fair_crps(location + scale * white, truth).mean().item()

    best = score(0.0, 1.0)
    for other in [(0.3, 1.0), (-0.3, 1.0), (0.0, 0.7), (0.0, 1.4)]:
        assert score(*other) > best + 0.005


def test_equal_samples_have_the_absolute_error():
    assert fair_crps(torch.full((4, 1), 2.0), torch.tensor([0.5])).item() == 1.5
