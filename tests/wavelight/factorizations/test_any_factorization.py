"""What holds for every factorization of images of any shape."""

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.examples import EXAMPLES, MANY
from wavelight.factorizations.base import Pixels
from wavelight.factorizations.pyramids import LaplacianPyramid, Pyramid
from wavelight.factorizations.scaling import Eigenbasis, Half, Peak, PerChannel, Scalar, Unscaled
from wavelight.factorizations.subbands import Subbands
from wavelight.wavelets import BandOrder, BandStatistics, LevelStatistics

ORTHOGONAL = ["haar", "db2", "db3", "db5", "sym4", "sym7", "coif1"]
WAVELETS = [*ORTHOGONAL, "bior2.2", "bior4.4", "rbio1.3"]
SCALINGS = [None, Unscaled(), Half(), Peak(), Scalar(), PerChannel(), Eigenbasis()]


@st.composite
def factorizations(draw):
    """A factorization, and the number of channels that it is for."""
    levels, channels = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    scaling = draw(st.sampled_from(SCALINGS))
    wavelet = draw(st.sampled_from(WAVELETS))
    order = draw(st.sampled_from(list(BandOrder)))
    kinds = {
        "pixels": lambda: Pixels(),
        "subbands": lambda: Subbands(wavelet, order, scaling, channels, levels),
        "pyramid": lambda: Pyramid(levels, wavelet, scaling, channels),
        "laplacian": lambda: LaplacianPyramid(levels, scaling, channels),
    }
    return kinds[draw(st.sampled_from(sorted(kinds)))](), channels


def refusal(factorization, shape):
    """Why images of a shape cannot be split, None where they can."""
    try:
        factorization.target_shapes(shape)
    except ValueError as error:
        return str(error)
    return None


@st.composite
def cases(draw):
    """A factorization that has measured its bands, and images that it can split."""
    factorization, channels = draw(factorizations())
    factor = 2**factorization.levels
    height, width = (factor * draw(st.integers(1, 8)) for _ in range(2))
    shape = (channels, height, width)
    assume(refusal(factorization, shape) is None)
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    images = torch.rand(draw(st.integers(1, 4)), *shape, generator=random) * 2 - 1
    factorization.fit(statistics(factorization, images))
    return factorization, images


def statistics(factorization, images):
    coarse, found = images, []
    for level in range(factorization.levels + 1):
        details = coarse
        if level:
            coarse, details = factorization.split(coarse)
        found.append(LevelStatistics(measured(coarse), measured(details)))
    return found


def measured(band):
    values = band.transpose(0, 1).flatten(1)
    # A band of one number has no spread.
    spread = values.std(1, correction=0).clamp(min=0.1)
    peak = values.abs().amax(1).clamp(min=0.1)
    # Few numbers may be of fewer dimensions than there are channels; any two of these are correlated by a half.
    correlation = (torch.eye(len(spread)) + 1) / 2
    return BandStatistics(values.mean(1), spread, peak, correlation * spread.outer(spread))


def check_split(case):
    factorization, images = case
    shapes = factorization.target_shapes(tuple(images.shape[1:]))
    channels = factorization.condition_channels(tuple(images.shape[1:]))
    factors = factorization.encode(images)

    assert len(factors) == len(shapes) == len(channels)
    for factor, shape, given_channels in zip(factors, shapes, channels, strict=True):
        assert factor.target.shape == (len(images), *shape)
        ll = factor.condition.ll
        assert (0 if ll is None else ll.shape[1]) == given_channels
        assert ll is None or ll.shape[2:] == factor.target.shape[2:]

    def sample(index, ll):
        seen = factors[index].condition.ll
        assert (ll is None) == (seen is None)
        if ll is not None:
            # While sampling, a model sees what it saw while learning.
            torch.testing.assert_close(ll, seen, atol=1e-4, rtol=1e-4)
        return factors[index].target

    torch.testing.assert_close(factorization.decode(sample), images, atol=5e-5, rtol=0)


def check_parts(case, start, stop):
    factorization, images = case
    start, stop = sorted((start % (len(images) + 1), stop % (len(images) + 1)))
    assume(start < stop)
    whole, part = factorization.encode(images), factorization.encode(images[start:stop])
    for factor, alone in zip(whole, part, strict=True):
        cut = factor.part(start, stop)
        torch.testing.assert_close(cut.target, alone.target, atol=1e-5, rtol=1e-5)


@given(cases())
@EXAMPLES
def test_targets_have_the_stated_shapes_and_give_the_images_back(case):
    check_split(case)


@pytest.mark.slow
@given(cases())
@MANY
def test_many_targets_have_the_stated_shapes_and_give_the_images_back(case):
    check_split(case)


@given(cases(), st.integers(0, 4), st.integers(0, 4))
@EXAMPLES
def test_an_image_is_split_alike_in_any_batch(case, start, stop):
    check_parts(case, start, stop)


@given(cases())
@EXAMPLES
def test_orthonormal_bands_have_the_energy_of_the_images(case):
    factorization, images = case
    assume(not isinstance(factorization, LaplacianPyramid) and factorization.wavelet in ORTHOGONAL)
    found, energy = images, 0.0
    for _ in range(factorization.levels):
        found, details = factorization.split(found)
        energy += details.square().sum()
    torch.testing.assert_close(energy + found.square().sum(), images.square().sum())


@given(factorizations(), st.integers(1, 70), st.integers(1, 70))
@EXAMPLES
def test_shapes_that_cannot_be_split_are_refused_by_name(case, height, width):
    factorization, channels = case
    shape = (channels, height, width)
    refused = refusal(factorization, shape)
    if refused is not None:
        assert "image_size" in refused
        return
    shapes = factorization.target_shapes(shape)
    assert all(side > 0 for shape in shapes for side in shape)
    factor = 2**factorization.levels
    assert height % factor == width % factor == 0
