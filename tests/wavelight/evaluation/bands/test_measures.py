"""Measures of values: known distributions, and what must not change them."""

from math import pi, sqrt

import pytest
import torch

from wavelight.evaluation.bands import (
    BIN_VALUES,
    MEASURES,
    bin_counts,
    resample,
    sliced_wasserstein,
)

COUNTED = [name for name, measure in MEASURES.items() if measure.of is not None]


def weights_of(density):
    edges = (BIN_VALUES[1:] + BIN_VALUES[:-1]) / 2
    widths = torch.cat([edges[1:2] - edges[:1], edges.diff(), edges[-1:] - edges[-2:-1]])
    return density(BIN_VALUES) * widths


def gaussian(z):
    return (-z.square() / 2).exp()


def laplace(z):
    return (-sqrt(2) * z.abs()).exp()


@pytest.mark.parametrize("name", COUNTED)
def test_a_gaussian_has_the_value_that_tables_show(name):
    measure = MEASURES[name]
    assert float(measure.of(BIN_VALUES, weights_of(gaussian))) == pytest.approx(
        measure.gaussian, abs=2e-3
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kurtosis", 3.0),
        # 33.67 (sqrt(2) e sqrt(2 pi) Q(sqrt(2)) - sqrt(1/2))^2; without approximation 0.0724
        ("negentropy", 0.0868),
        ("gini", 0.5),
        ("hoyer", 1 - 1 / sqrt(2)),
        ("small", 0.1319),
    ],
)
def test_a_laplace_distribution_is_sparser_by_what_is_known(name, value):
    of = MEASURES[name].of
    assert float(of(BIN_VALUES, weights_of(laplace))) == pytest.approx(value, rel=0.02)


@pytest.mark.parametrize("name", COUNTED)
def test_mean_and_scale_change_nothing(name):
    values = torch.randn(500, generator=torch.Generator().manual_seed(0)).double() ** 3
    weights = torch.ones(500, dtype=torch.float64)
    of = MEASURES[name].of
    assert float(of(7 - 3 * values, weights)) == pytest.approx(float(of(values, weights)))


@pytest.mark.parametrize("name", COUNTED)
def test_a_weight_is_a_number_of_copies(name):
    values = torch.tensor([-2.0, 0.05, 0.3, 1.4], dtype=torch.float64)
    weights = torch.tensor([[1.0, 3.0, 2.0, 1.0], [1.0, 1.0, 1.0, 1.0]], dtype=torch.float64)
    copies = values.repeat_interleave(weights[0].long())
    of = MEASURES[name].of
    found = of(values, weights)
    assert found.shape == (2,)
    assert float(found[0]) == pytest.approx(float(of(copies, torch.ones_like(copies))))


def test_counts_in_bins_give_the_measures_of_the_values():
    values = torch.randn(4, 3, 50, 50, generator=torch.Generator().manual_seed(1)) ** 3
    values = values / values.std()
    counts = bin_counts(values)
    assert counts.sum(1).tolist() == [7500.0] * 4
    whole = values.flatten().double()
    for name in COUNTED:
        of = MEASURES[name].of
        assert float(of(BIN_VALUES, counts.sum(0))) == pytest.approx(
            float(of(whole, torch.ones_like(whole))), rel=0.01
        )


def test_the_first_sample_is_the_images_and_others_are_as_large():
    counts = resample(30, 5, torch.Generator().manual_seed(0))
    assert counts.shape == (6, 30)
    assert counts[0].tolist() == [1.0] * 30
    assert counts.sum(1).tolist() == [30.0] * 6
    assert counts[1:].max() > 1


# --- patches ---


def patches(kind, number=4000):
    generator = torch.Generator().manual_seed(3)
    values = torch.randn(number, 4, generator=generator)
    if kind == "scaled":
        values *= torch.randn(number, 1, generator=generator).exp()
    return values, torch.randn(16, 4, generator=generator)


def test_gaussian_patches_are_near_their_gaussian_and_scale_mixtures_are_not():
    ones = torch.ones(1, 4000)
    near = float(sliced_wasserstein(*patches("gaussian"), ones))
    far = float(sliced_wasserstein(*patches("scaled"), ones))
    assert near < 0.04
    assert far > 0.3


def test_two_points_have_the_distance_of_half_normals():
    values = torch.tensor([[-1.0], [1.0]])
    found = sliced_wasserstein(values, torch.ones(1, 1), torch.ones(1, 2))
    # E (|z| - 1)^2 = 2 - 2 sqrt(2 / pi)
    assert float(found) == pytest.approx(sqrt(2 - 2 * sqrt(2 / pi)))


def test_the_distance_knows_no_scale_and_a_weight_is_a_number_of_copies():
    values, directions = patches("scaled", 60)
    weights = torch.ones(2, 60)
    weights[0, :20] = 3
    found = sliced_wasserstein(values, directions, weights)
    again = sliced_wasserstein(5 - 2 * values, directions, weights)
    torch.testing.assert_close(found, again)
    copies = torch.cat([values, values[:20], values[:20]])
    alone = sliced_wasserstein(copies, directions, torch.ones(1, 100))
    torch.testing.assert_close(found[:1], alone)
