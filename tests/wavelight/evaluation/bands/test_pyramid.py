"""Details alone and given LL, where it is known how they depend on it."""

import pytest
import torch

from wavelight.evaluation.bands import (
    KINDS,
    MEASURES,
    Interval,
    Normalization,
    analyze_pyramid,
    detail_shifts,
    fit_linear,
    fit_scale,
    interior,
    neighbourhoods,
)
from wavelight.wavelets import dwt2, idwt2


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed))


def details_of(images, coarse, mix):
    """Return images of one level whose details are ``mix`` of LL and of noise, both of the size of details."""
    detail_noise = noise(images, 3 * coarse.shape[1], *coarse.shape[2:], seed=9)
    return idwt2(coarse, mix(torch.cat([coarse] * 3, dim=1), detail_noise))


def smooth(coarse):
    return torch.nn.functional.avg_pool2d(coarse, 3, 1, 1) * 3


def last_level(images, replicates=20):
    *_, level = analyze_pyramid(images, "haar", 1, replicates, generator())
    return level


def test_neighbourhoods_go_with_the_interior():
    band = noise(2, 3, 5, 6)
    around = neighbourhoods(band)
    assert around.shape == (2 * 3 * 4, 3, 9)
    middles = interior(band).permute(0, 2, 3, 1).flatten(0, 2)
    assert torch.equal(around[..., 4], middles)
    assert torch.equal(around[0, 0], band[0, 0, :3, :3].flatten())


@pytest.mark.parametrize("wavelet", ["haar", "db2", "db4", "db8", "sym5", "coif2"])
def test_details_are_moved_to_where_ll_has_the_same_spot(wavelet):
    spots = torch.zeros(200, 1, 64, 64)
    spots[:, :, 30:36, 22:28] = noise(200, 1, 6, 6)
    coarse, details = dwt2(spots, wavelet)
    spot = coarse.square().mean((0, 1))
    for band, shift in zip(details.chunk(3, dim=1), detail_shifts(wavelet), strict=True):
        energy = band.roll(shift, dims=(2, 3)).square().mean((0, 1))
        likeness = torch.fft.ifft2(torch.fft.fft2(spot) * torch.fft.fft2(energy).conj()).real
        row, column = divmod(int(likeness.argmax()), 32)
        assert min(row, 32 - row) <= 1
        assert min(column, 32 - column) <= 1


def test_the_linear_prediction_leaves_the_noise():
    around, rest = noise(5000, 2, 9), noise(5000, 6, seed=1)
    weight = noise(18, 6, seed=2)
    details = around.flatten(1) @ weight + 4 + rest
    residual = fit_linear(details, around).residual(details, around)
    torch.testing.assert_close(residual.float(), rest, rtol=0, atol=0.4)
    assert residual.var() == pytest.approx(1, abs=0.03)


def test_the_scale_is_found_and_follows_that_of_details():
    around = noise(20_000, 1, 9) * noise(20_000, 1, 1, seed=3).exp()
    truth = 0.1 + around.var(-1)  # (P, 1)
    residual = noise(20_000, 1, seed=4) * truth.sqrt()
    scale = fit_scale(residual, around).scale(around)
    assert (scale.log() - truth.sqrt().log()).std() < 0.06
    assert scale.log().mean() == pytest.approx(float(truth.sqrt().log().mean()), abs=0.03)
    louder = fit_scale(10 * residual, around).scale(around)
    torch.testing.assert_close(louder, 10 * scale, rtol=1e-3, atol=0)


def test_a_scale_mixture_becomes_gaussian_when_its_scale_is_divided_out():
    coarse = smooth(noise(600, 1, 10, 10)) * noise(600, 1, 1, 1, seed=5).exp()

    def mix(given, rest):
        around = torch.nn.functional.pad(given, (1, 1, 1, 1)).unfold(2, 3, 1).unfold(3, 3, 1)
        return (0.02 + around.flatten(4).var(-1)).sqrt() * rest

    level = last_level(details_of(600, coarse, mix))
    marginal, linear, scaled = (level.details[kind]["kurtosis"].value for kind in KINDS)
    assert marginal > 5
    assert linear == pytest.approx(marginal, rel=0.1)
    assert scaled == pytest.approx(0, abs=0.25)
    for name in MEASURES:
        assert level.differences["scaled"][name].high < 0
    assert level.details["scaled"]["negentropy"].value < 0.003
    assert level.details["scaled"]["wasserstein"].value < 0.06


def test_gaussian_details_stay_gaussian_and_their_prediction_is_taken_away():
    coarse = smooth(noise(400, 1, 8, 8))
    level = last_level(
        details_of(400, coarse, lambda given, rest: given + interior(given).std() * rest)
    )
    assert level.explained == pytest.approx(0.5, abs=0.03)
    for kind in KINDS:
        assert level.details[kind]["kurtosis"].value == pytest.approx(0, abs=0.2)
        assert level.details[kind]["gini"].value == pytest.approx(0.4142, abs=0.01)


def test_sparse_details_that_do_not_depend_on_ll_stay_as_they_are():
    coarse = smooth(noise(400, 1, 10, 10))
    level = last_level(details_of(400, coarse, lambda _, rest: rest**3))
    assert level.explained == pytest.approx(0, abs=0.01)
    for kind in ("linear", "scaled"):
        assert level.details[kind]["gini"].value == pytest.approx(
            level.details["marginal"]["gini"].value, abs=0.02
        )


def test_measures_know_no_scale_and_repeat_with_their_seed():
    images = noise(200, 2, 8, 8)
    once, again, louder = (last_level(each, replicates=2) for each in (images, images, 4 * images))
    assert once == again
    for kind in KINDS:
        for name in ("kurtosis", "gini", "wasserstein"):
            assert louder.details[kind][name].value == pytest.approx(
                once.details[kind][name].value, abs=2e-3
            )


def test_densities_are_densities():
    level = last_level(noise(300, 1, 8, 8))
    for density in level.densities.values():
        assert len(density) == 151
        assert sum(density) * 30 / 151 == pytest.approx(1)


def test_an_interval_is_around_its_number_even_if_resamples_are_larger():
    found = Interval.of(torch.cat([torch.tensor([1.0]), torch.linspace(1.5, 2.5, 101)]))
    assert found.value == 1
    assert found.low == pytest.approx(0.525)
    assert found.high == pytest.approx(1.475)


def test_normalization_removes_the_mean_of_channels_and_one_range():
    images = noise(50, 2, 8, 8) * torch.tensor([1.0, 3.0])[:, None, None] + 7
    found = Normalization.of(images).apply(images)
    torch.testing.assert_close(found.mean((0, 2, 3)), torch.zeros(2), atol=1e-4, rtol=0)
    assert found.var() == pytest.approx(1, abs=1e-3)
    assert found[:, 1].std() / found[:, 0].std() == pytest.approx(3, rel=0.05)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(200, 1, 8, 8), "images are constant"),
        (noise(10, 1, 8, 8), "images must be at least 50 for 1 levels, got 10"),
        (
            noise(200, 1, 4, 4),
            "levels = 1 leaves an LL band of side 2, .* need at least 4: lower levels",
        ),
        (noise(200, 1, 4, 4).repeat_interleave(2, 2).repeat_interleave(2, 3), "the same in all"),
    ],
)
def test_what_cannot_be_measured_is_refused(images, message):
    with pytest.raises(ValueError, match=message):
        last_level(Normalization.of(images).apply(images))
