"""Details that are exactly right have a ratio of 1, and those of a regression one of 0."""

import math
from functools import partial

import pytest
import torch

from tests.systems import ADAM, regression, tiny_hybrid
from tests.wavelight.evaluation.details.toy import images, named
from wavelight.evaluation.details.diversity import diversity
from wavelight.factorizations.pyramids import LaplacianPyramid, Pyramid
from wavelight.factorizations.scaling import Half, Unscaled
from wavelight.models import GenerativeModel, LinearGaussian
from wavelight.systems.base import ImageGenerator


class White(GenerativeModel):
    """Samples white noise."""

    def __init__(self, shape):
        super().__init__()

    def players(self):
        return {}

    def losses(self, player, factor, turn, noise):
        return {}

    def sample(self, shape, condition, noise):
        return noise.normal(*shape)


def linear_gaussian(shape, spread=1.0):
    """Details of which the coarse band explains a half, with correlated channels."""
    model = LinearGaussian(shape, 1, ADAM)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        model.gaussian.mean.weight.normal_(generator=generator).mul_(3**-0.5)
        model.gaussian.below.normal_(generator=generator).mul_(0.2 / spread)
        model.gaussian.log_diagonal.fill_(-math.log(spread))
    return model


def gaussian_images(spread=1.0, levels=2):
    pyramid = Pyramid(levels, scaling=Unscaled())
    models = [White, *[partial(linear_gaussian, spread=spread)] * levels]
    return ImageGenerator(pyramid, models, 16, seed=0, bounded=False).eval()


@pytest.mark.parametrize("spread", [1.0, 2.0])
def test_a_model_that_is_exactly_right_is_calibrated(spread):
    true = gaussian_images().sample(96, seed=7)
    found = diversity(named(gaussian_images(spread)), true, 3, seed=0, batch_size=64)
    assert [(row.level, row.band) for row in found] == [
        (level, band) for level in (2, 1) for band in ("all", "LH", "HL", "HH")
    ]
    for row in found:
        assert row.ratio == pytest.approx(spread, rel=0.06)
    # 9 of 18 of the variance at level 2, whose coarse band is white, up to the correlations.
    assert 0.3 < found[0].explained < 0.6


def test_a_regression_has_no_spread():
    found = diversity(
        named(tiny_hybrid(details=regression()).eval()), images(), 3, seed=0, batch_size=3
    )
    assert {row.spread for row in found} == {0.0}
    assert {row.ratio for row in found} == {0.0}


def test_draws_depend_on_seed_alone():
    system, true = named(tiny_hybrid().eval()), images()
    first = diversity(system, true, 2, seed=0, batch_size=3)
    for row, again in zip(first, diversity(system, true, 2, seed=0, batch_size=8), strict=True):
        assert row[:3] == again[:3]
        assert row[3:] == pytest.approx(again[3:], rel=1e-4)
    assert first == diversity(system, true, 2, seed=0, batch_size=3)
    assert first != diversity(system, true, 2, seed=1, batch_size=3)


def test_a_laplacian_pyramid_has_no_three_bands():
    generator = ImageGenerator(LaplacianPyramid(1, Half()), [White, White], 16, seed=0)
    found = diversity(named(generator), images(), 2, seed=0, batch_size=8)
    assert [row.band for row in found] == ["all"]
