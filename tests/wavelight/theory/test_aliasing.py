"""One wavelet level as alias blocks, against PyWavelets and against a field's own spectrum."""

import numpy as np
import pytest
import pywt

from wavelight.theory import power_law, split


def field_bands(size, wavelet, seed):
    """A random image and the Fourier coefficients of its bands, unitary, ``(4, L/2, L/2)``."""
    image = np.random.default_rng(seed).normal(size=(size, size))
    ll, details = pywt.dwt2(image, wavelet, mode="periodization")
    return image, np.stack([np.fft.fft2(band, norm="ortho") for band in (ll, *details)])


@pytest.mark.parametrize("wavelet", ["haar", "db4", "sym5", "coif1"])
def test_a_white_field_has_white_independent_bands(wavelet):
    level = split(np.ones((16, 16)), wavelet)
    np.testing.assert_allclose(level.coarse, 1, atol=1e-9)
    np.testing.assert_allclose(level.regression, 0, atol=1e-9)
    np.testing.assert_allclose(
        level.covariance, np.broadcast_to(np.eye(3), (8, 8, 3, 3)), atol=1e-9
    )
    assert level.variance == pytest.approx(1)


@pytest.mark.parametrize("wavelet", ["haar", "db2", "db4"])
def test_blocks_are_those_of_the_transform(wavelet):
    # The spectrum of one image, its periodogram, gives blocks of the mean over its translations,
    # of which the transform subsamples 4.
    size = 8
    image = np.random.default_rng(0).normal(size=(size, size))
    spectrum = np.abs(np.fft.fft2(image, norm="ortho")) ** 2
    block = 0
    for shift in [(0, 0), (0, 1), (1, 0), (1, 1)]:
        ll, details = pywt.dwt2(np.roll(image, shift, (0, 1)), wavelet, mode="periodization")
        bands = np.stack([np.fft.fft2(band, norm="ortho") for band in (ll, *details)], axis=-1)
        block = block + bands[..., :, None] * bands[..., None, :].conj() / 4
    level = split(spectrum, wavelet)
    np.testing.assert_allclose(block[..., 0, 0], level.coarse, atol=1e-9)
    regression = block[..., 1:, 0] / block[..., 0, 0, None]
    np.testing.assert_allclose(regression, level.regression, atol=1e-8)
    details = block[..., 1:, 1:] - regression[..., None] * block[..., None, 0, 1:]
    np.testing.assert_allclose(details, level.covariance, atol=1e-8)


@pytest.mark.parametrize("wavelet", ["db4", "db20"])
@pytest.mark.parametrize("size", [2, 4, 6])
def test_filters_longer_than_the_side_wrap_around(wavelet, size):
    spectrum = power_law(size, 1.0)
    level = split(spectrum, wavelet)
    # An orthonormal transform keeps the energy.
    energy = level.coarse.sum() + 3 * level.variance * (size // 2) ** 2
    assert energy == pytest.approx(spectrum.sum())
    assert np.linalg.eigvalsh(level.covariance).min() > spectrum.min() * (1 - 1e-9)


def test_an_odd_side_is_refused():
    with pytest.raises(ValueError, match=r"size must be even \(a wavelet level halves it\), got 5"):
        split(np.ones((5, 5)), "haar")
