"""The table of docs/published.md (steps for a Gaussian field), and an independent computation with matrices."""

from functools import partial

import numpy as np
import pytest
import pywt

from wavelight.theory import (
    euler_maruyama,
    factors_of,
    kl_divergence,
    kl_per_dimension,
    level_error,
    pixel_error,
    power_law,
    smallest_steps,
    steps_needed,
    uniform_times,
)
from wavelight.theory.steps import default_levels

# eta, size: condition numbers; steps for KL/d < 1e-2, < 1e-3; steps for sup < 0.1; SGM, then WSGM.
GOLDEN = {
    (1, 16): ((12.3, 2.46), (42, 32), (133, 98), (83, 15)),
    (1, 64): ((46.3, 2.72), (48, 32), (154, 101), (141, 8)),
    (2, 16): ((129, 7.59), (124, 50), (406, 164), (137, 7)),
}
SYSTEMS = ("sgm", "wsgm")


def rounded(number, digits):
    return float(f"{number:.{digits}g}")


@pytest.mark.parametrize(("system", "golden"), [("sgm", 9.355610e-3), ("wsgm", 1.617588e-3)])
def test_kl_is_the_golden_number(system, golden):
    assert kl_per_dimension(system, 16, 2.0, 128) == pytest.approx(golden, rel=1e-7)


@pytest.mark.parametrize(("eta", "size"), GOLDEN)
def test_condition_numbers_are_the_golden_ones(eta, size):
    pixels, details = GOLDEN[eta, size][0]
    (field,) = factors_of("sgm", size, eta)
    _, *scales = factors_of("wsgm", size, eta)
    assert rounded(field.condition_number, 3) == pixels
    assert rounded(max(scale.condition_number for scale in scales), 3) == details


@pytest.mark.parametrize(("eta", "size"), GOLDEN)
@pytest.mark.parametrize("column", [1, 2])
def test_steps_are_the_golden_ones(eta, size, column):
    needed = tuple(steps_needed(system, size, eta, 10.0 ** (-1 - column)) for system in SYSTEMS)
    assert needed == GOLDEN[eta, size][column]


@pytest.mark.parametrize(("eta", "size"), GOLDEN)
def test_steps_for_the_largest_error_are_the_golden_ones(eta, size):
    spectrum = power_law(size, eta)
    pixels = smallest_steps(lambda n: pixel_error(spectrum, uniform_times(n)), 0.1)
    level = smallest_steps(lambda n: level_error(spectrum, "db4", uniform_times(n)), 0.1)
    assert (pixels, level) == GOLDEN[eta, size][3]


@pytest.mark.parametrize(
    ("wavelet", "eta", "details", "coarsest"),
    [
        ("haar", 1, 2.72, 4.86),
        ("haar", 2, 8.12, 12.8),
        ("db2", 1, 2.72, 4.10),
        ("db2", 2, 7.97, 10.0),
        ("db4", 1, 2.72, 3.87),
        ("db4", 2, 7.97, 9.16),
    ],
)
def test_condition_numbers_hardly_depend_on_the_wavelet(wavelet, eta, details, coarsest):
    coarse, *scales = factors_of("wsgm", 64, eta, wavelet)
    assert rounded(coarse.condition_number, 3) == coarsest
    assert rounded(max(scale.condition_number for scale in scales), 3) == details


def dense_transform(size, wavelet):
    """The matrix of one level, rows LL, LH, HL, HH, by PyWavelets on every unit image."""
    images = np.eye(size * size).reshape(-1, size, size)
    ll, details = pywt.dwt2(images, wavelet, mode="periodization", axes=(-2, -1))
    return np.concatenate([band.reshape(size * size, -1) for band in (ll, *details)], axis=1).T


def dense_covariance(spectrum):
    """The matrix of a stationary field, from its autocovariance."""
    size = len(spectrum)
    autocovariance = np.fft.ifft2(spectrum).real
    index = np.arange(size)
    shift = (index[:, None] - index) % size
    return autocovariance[shift[:, None, :, None], shift[None, :, None, :]].reshape(size**2, -1)


def dense_kl(true, model):
    product = np.linalg.solve(model, true)
    return 0.5 * (np.trace(product) - len(true) - np.linalg.slogdet(product)[1])


def dense_sampler(covariance, steps, horizon=10.0):
    """Covariance and operator on the conditional mean that Euler-Maruyama ends with, as matrices."""
    identity = np.eye(len(covariance))
    generated, gain = identity, np.zeros_like(covariance)
    step = horizon / steps
    for k in range(steps, 0, -1):
        time = k * step
        precision = np.linalg.inv(
            np.exp(-2 * time) * covariance + (1 - np.exp(-2 * time)) * identity
        )
        matrix = (1 + step) * identity - 2 * step * precision
        generated = matrix @ generated @ matrix.T + 2 * step * identity
        gain = matrix @ gain + 2 * step * np.exp(-time) * precision
    return generated, gain


def dense_pixels(covariance, steps):
    """The covariance of samples of SGM, at unit mean variance, given back at that of the field."""
    variance = np.diag(covariance).mean()
    return dense_sampler(covariance / variance, steps)[0] * variance


def dense_pyramid(covariance, size, wavelet, levels, steps):
    """The covariance of samples of WSGM, which conditions each scale on the band that it drew itself."""
    if levels == 0:
        return dense_pixels(covariance, steps)
    transform = dense_transform(size, wavelet)
    bands = transform @ covariance @ transform.T
    low = size**2 // 4
    coarse, cross, details = bands[:low, :low], bands[low:, :low], bands[low:, low:]
    regression = cross @ np.linalg.inv(coarse)
    variance = np.diag(details).mean()
    generated, gain = dense_sampler((details - regression @ cross.T) / variance, steps)
    biased = gain @ regression
    low_drawn = dense_pyramid(coarse, size // 2, wavelet, levels - 1, steps)
    joint = np.block(
        [
            [low_drawn, low_drawn @ biased.T],
            [biased @ low_drawn, biased @ low_drawn @ biased.T + variance * generated],
        ]
    )
    return transform.T @ joint @ transform


@pytest.mark.parametrize("eta", [1, 2])
@pytest.mark.parametrize("steps", [32, 128])
def test_kl_of_sgm_is_that_of_dense_matrices(eta, steps):
    covariance = dense_covariance(power_law(8, eta))
    exact = dense_kl(covariance, dense_pixels(covariance, steps)) / 64
    assert kl_per_dimension("sgm", 8, eta, steps) == pytest.approx(exact, rel=1e-8)


@pytest.mark.parametrize(("wavelet", "levels"), [("haar", 1), ("db4", 1), ("haar", 3), ("db4", 2)])
@pytest.mark.parametrize("eta", [1, 2])
@pytest.mark.parametrize("steps", [32, 128])
def test_kl_of_wsgm_is_that_of_its_images_by_dense_matrices(wavelet, levels, eta, steps):
    covariance = dense_covariance(power_law(8, eta))
    exact = dense_kl(covariance, dense_pyramid(covariance, 8, wavelet, levels, steps)) / 64
    blocks = kl_per_dimension("wsgm", 8, eta, steps, wavelet, levels)
    assert blocks == pytest.approx(exact, rel=1e-8)


@pytest.mark.parametrize("system", SYSTEMS)
def test_error_falls_with_every_step_from_the_second(system):
    factors = factors_of(system, 16, 2.0)

    def error(steps):
        chains = [euler_maruyama(each.variances, uniform_times(steps)) for each in factors]
        return sum(map(kl_divergence, factors, chains))

    errors = [error(steps) for steps in range(2, 81)]
    assert errors == sorted(errors, reverse=True)


@pytest.mark.parametrize(
    ("size", "wavelet", "levels", "xi"),
    [(48, "sym5", None, None), (20, "coif2", 2, 0.5), (16, "db10", 4, None), (8, "haar", 0, None)],
)
def test_other_sizes_wavelets_levels_and_spectra_work(size, wavelet, levels, xi):
    needed = partial(steps_needed, "wsgm", size, 1.5, wavelet=wavelet, levels=levels, xi=xi)
    kl = partial(kl_per_dimension, "wsgm", size, 1.5, wavelet=wavelet, levels=levels, xi=xi)
    enough = needed(kl_per_dim=5e-3)
    assert kl(steps=enough) <= 5e-3 < kl(steps=enough - 1)


def test_a_pyramid_without_levels_is_the_field():
    assert kl_per_dimension("wsgm", 8, 2.0, 32, levels=0) == kl_per_dimension("sgm", 8, 2.0, 32)


def test_the_call_of_the_issue_works():
    assert steps_needed(system="wsgm", size=64, eta=2.0, kl_per_dim=1e-2, wavelet="db4") == 51


@pytest.mark.parametrize(("size", "levels"), [(4, 0), (8, 1), (16, 2), (64, 4), (96, 4), (15, 0)])
def test_default_levels_end_at_4_pixels(size, levels):
    assert default_levels(size) == levels


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"system": "vae"}, "system must be one of sgm, wsgm, got 'vae'"),
        ({"size": 1}, "size must be at least 2, got 1"),
        ({"eta": -1.0}, r"eta must not be negative, got -1\.0"),
        ({"xi": 0.0}, r"xi must be positive, got 0\.0"),
        (
            {"levels": 5},
            r"size must be divisible by 2\*\*levels, with levels 5 not negative, got 16",
        ),
        ({"levels": -1}, "levels -1"),
        (
            {"wavelet": "db99"},
            "there is no wavelet 'db99': the orthogonal families are haar, db, sym, coif",
        ),
        ({"wavelet": "bior2.2"}, r"wavelet must be orthogonal, got 'bior2\.2'"),
        ({"horizon": 0.0}, "horizon must be positive, got 0"),
        ({"kl_per_dim": 0.0}, "kl_per_dim must be positive, got 0"),
    ],
)
def test_bad_input_is_one_sentence(arguments, message):
    with pytest.raises(ValueError, match=message):
        steps_needed(**{"system": "wsgm", "size": 16, "eta": 1.0} | arguments)


def test_a_sampler_takes_a_step():
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        kl_per_dimension("sgm", 8, 1.0, 0)


def test_a_threshold_below_every_error_is_refused(monkeypatch):
    monkeypatch.setattr("wavelight.theory.steps.MOST_STEPS", 64)
    with pytest.raises(
        ValueError, match=r"kl_per_dim = 0\.001 is not reached in 64 steps: ask for a larger one"
    ):
        steps_needed("sgm", 8, 1.0, 1e-3, horizon=0.1)
