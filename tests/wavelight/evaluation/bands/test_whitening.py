"""Condition numbers and distances to white noise of fields whose covariance is known."""

from math import inf, log, log10

import numpy as np
import pytest
import torch

from data_modules import GaussianFields
from data_modules.gaussian_fields import power_law
from wavelight.evaluation.bands import condition_floor, whiten_by_covariance, whiten_by_spectrum
from wavelight.wavelets import dwt2


def fields(images, size, eta):
    source = GaussianFields(images, eta)
    return torch.stack([source.read(index, size).image for index in range(images)])


def kl_of(eigenvalues):
    return float((1 / eigenvalues - 1 + np.log(eigenvalues)).mean() / 2)


def test_white_noise_is_white():
    noise = torch.randn(4000, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    spectrum, whole = whiten_by_spectrum(noise), whiten_by_covariance(noise)
    assert spectrum.log10_condition < 0.08
    assert whole.log10_condition == pytest.approx(condition_floor(4000, 32), abs=0.03)
    assert spectrum.kl == pytest.approx(0, abs=1e-3)
    assert whole.kl == pytest.approx(0, abs=1e-3)
    assert whole.kl_unit == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("eta", [1.0, 2.0])
def test_gaussian_fields_have_their_condition_number_and_distance(eta):
    eigenvalues = power_law(8, eta)
    generated = fields(3000, 8, eta)
    spectrum, whole = whiten_by_spectrum(generated), whiten_by_covariance(generated)
    truth = log10(eigenvalues.max() / eigenvalues.min())
    assert spectrum.estimate == "Fourier spectrum"
    assert spectrum.log10_condition == pytest.approx(truth, abs=0.08)
    assert spectrum.kl == pytest.approx(kl_of(eigenvalues), rel=0.03, abs=0.002)
    assert whole.log10_condition == pytest.approx(truth, abs=0.12)
    assert whole.kl == pytest.approx(kl_of(eigenvalues), rel=0.03, abs=0.002)


def test_fields_with_borders_are_taken_by_cosines_which_find_less_than_is_there():
    size, correlation = 8, 0.95
    places = torch.arange(size)
    row = (correlation ** (places[:, None] - places).abs()).double()
    root = torch.linalg.cholesky(row)
    noise = torch.randn(2000, 1, size, size, generator=torch.Generator().manual_seed(0)).double()
    found = whiten_by_spectrum((root @ noise @ root.T).float())
    values = torch.linalg.eigvalsh(row)
    truth = 2 * log10(values[-1] / values[0])
    assert found.estimate == "cosine spectrum"
    assert truth - 0.3 < found.log10_condition < truth + 0.05


def test_colours_that_go_together_count():
    noise = torch.randn(2000, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    other = torch.randn(2000, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    # The covariance of the two channels has the eigenvalues 1.8 and 0.2.
    pair = torch.cat([noise, 0.8 * noise + 0.6 * other], dim=1)
    for found in (whiten_by_spectrum(pair), whiten_by_covariance(pair)):
        assert found.kl == pytest.approx(kl_of(np.array([1.8, 0.2])), rel=0.06)
    assert whiten_by_spectrum(pair).log10_condition == pytest.approx(log10(9), abs=0.15)


def test_the_mean_counts():
    noise = torch.randn(2000, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    for measure in (whiten_by_spectrum, whiten_by_covariance):
        # Over 16 dimensions, 16 * 3^2 / 2 nats.
        assert measure(noise + 3).kl - measure(noise).kl == pytest.approx(4.5, rel=0.05)


@pytest.mark.parametrize("measure", [whiten_by_spectrum, whiten_by_covariance])
def test_scale_changes_the_distance_but_not_that_of_unit_variance(measure):
    generated = fields(1000, 4, 1.0)
    once, twice = measure(generated), measure(2 * generated)
    assert twice.kl_unit == pytest.approx(once.kl_unit, rel=1e-4)
    assert twice.log10_condition == pytest.approx(once.log10_condition, rel=1e-4)
    assert twice.kl != pytest.approx(once.kl, rel=0.1)
    white = measure(2 * torch.randn(1000, 1, 4, 4, generator=torch.Generator().manual_seed(0)))
    assert white.kl == pytest.approx((1 / 4 - 1 + log(4)) / 2, abs=0.01)


def test_an_orthonormal_transform_changes_nothing():
    generated = fields(1000, 8, 1.0)
    bands = torch.cat(dwt2(generated), dim=1)
    assert whiten_by_covariance(bands).kl == pytest.approx(
        whiten_by_covariance(generated).kl, rel=1e-3
    )


def test_few_images_have_no_covariance():
    assert whiten_by_covariance(fields(159, 4, 1.0)) is None
    assert whiten_by_covariance(fields(160, 4, 1.0)) is not None


def test_grey_pictures_in_colour_are_infinitely_far_from_white():
    grey = fields(200, 2, 1.0).expand(-1, 3, -1, -1)
    for found in (whiten_by_spectrum(grey), whiten_by_covariance(grey)):
        assert (found.log10_condition, found.kl, found.kl_unit) == (inf, inf, inf)
