"""SGM and WSGM with exact scores sample what the exact theory says that they sample."""

import numpy as np
import pytest
import torch

from wavelight.diffusion.samplers import heun
from wavelight.diffusion.schedules import Karras
from wavelight.factors import Condition
from wavelight.theory import euler_maruyama, power_law, split, uniform_times
from wavelight.theory.aliasing import _alias_transform
from wavelight.theory.exact_systems import exact_sgm, exact_wsgm
from wavelight.wavelets import dwt2

SIZE = 16
LEVELS = 2


def spectrum_of(images):
    """The mean square of each Fourier coefficient, ``(L, L)``."""
    fields = images[:, 0].double().numpy()
    return (np.abs(np.fft.fft2(fields, norm="ortho")) ** 2).mean(0)


def drawn_by_sgm(eta, steps):
    return euler_maruyama(power_law(SIZE, eta), uniform_times(steps)).variances


def pyramid(eta, wavelet):
    spectrum, levels = power_law(SIZE, eta), []
    for _ in range(LEVELS):
        levels.append(split(spectrum, wavelet))
        spectrum = levels[-1].coarse
    return levels


def drawn_details(level, steps):
    """Regression and covariance of details that Euler-Maruyama samples, in units of the field."""
    variances, vectors = np.linalg.eigh(level.covariance / level.variance)
    chain = euler_maruyama(variances, uniform_times(steps))
    adjoint = vectors.conj().swapaxes(-1, -2)
    gain = (vectors * chain.gains[..., None, :]) @ adjoint
    noise = level.variance * (vectors * chain.variances[..., None, :]) @ adjoint
    return (gain @ level.regression[..., None])[..., 0], noise


def drawn_by_wsgm(eta, steps, wavelet):
    """The spectrum of what is generated, from the coarsest band up, by the covariance of all coefficients.

    An inexact band on top of another is stationary on the coarser grid alone, so that the
    covariance of the coefficients of a field is not diagonal, only made of blocks.
    """
    levels = pyramid(eta, wavelet)
    coarsest = levels[-1].coarse
    chain = euler_maruyama(coarsest / coarsest.mean(), uniform_times(steps))
    covariance = np.diag((chain.variances * coarsest.mean()).ravel()).astype(complex)
    for level in reversed(levels):
        half = len(level.coarse)
        regression, noise = drawn_details(level, steps)
        synthesis = _alias_transform(2 * half, wavelet).conj().swapaxes(-1, -2)
        bands = np.concatenate([np.ones((half, half, 1)), regression], -1)
        gain = np.zeros((2, half, 2, half, half, half), dtype=complex)
        own = np.zeros((2, half, 2, half, 2, half, 2, half), dtype=complex)
        each = (synthesis @ bands[..., None])[..., 0].reshape(half, half, 2, 2)
        details = synthesis[..., 1:]
        blocks = details @ noise @ details.conj().swapaxes(-1, -2)
        for i in range(half):
            for j in range(half):
                gain[:, i, :, j, i, j] = each[i, j]
                own[:, i, :, j, :, i, :, j] = blocks[i, j].reshape(2, 2, 2, 2)
        gain = gain.reshape(4 * half**2, half**2)
        covariance = gain @ covariance @ gain.conj().T + own.reshape(4 * half**2, 4 * half**2)
    return covariance.diagonal().real.reshape(SIZE, SIZE)


def surprise(measured, expected, images):
    """How many standard deviations chi-square of the frequencies is away from its mean."""
    ratio = measured / expected
    frequency = np.arange(len(ratio))
    opposite = -frequency % len(ratio)
    # A coefficient that is its own conjugate is real, and its square varies twice as much.
    real = (opposite == frequency)[:, None] & (opposite == frequency)
    square = (ratio - 1) ** 2 * images / np.where(real, 2, 1)
    # Opposite frequencies say the same.
    once = np.where(real, 1.0, 0.5)
    return ((once * square).sum() - once.sum()) / np.sqrt(2 * once.sum())


def kl_per_dimension(true, generated):
    ratio = true / generated
    return (ratio - 1 - np.log(ratio)).mean() / 2


def kl_of_factors(system, images, eta, wavelet):
    """KL / d of the variances and gains that are measured in what WSGM drew, scale by scale."""
    levels = pyramid(eta, wavelet)
    coarsest, *details = system.factorization.encode(images)
    true = levels[-1].coarse / levels[-1].coarse.mean()
    ratio = true / spectrum_of(coarsest.target)
    total = (ratio - 1 - np.log(ratio)).sum() / 2
    for level, factor in zip(reversed(levels), details, strict=True):
        variances, vectors = np.linalg.eigh(level.covariance / level.variance)
        regression = level.regression * np.sqrt(level.coarse.mean() / level.variance)
        along = vectors.conj().swapaxes(-1, -2)
        target = np.fft.fft2(factor.target.double().numpy(), norm="ortho").transpose(0, 2, 3, 1)
        condition = np.fft.fft2(factor.condition.true_ll().double().numpy(), norm="ortho")[:, 0]
        generated = (along @ target[..., None])[..., 0]
        mean = (along @ regression[..., None])[..., 0] * condition[..., None]
        gain = (generated * mean.conj()).real.sum(0) / (np.abs(mean) ** 2).sum(0)
        noise = (np.abs(generated - gain * mean) ** 2).mean(0)
        true_square = np.abs((along @ regression[..., None])[..., 0]) ** 2
        true_square *= (level.coarse / level.coarse.mean())[..., None]
        ratio = variances / noise
        errors = (gain - 1) ** 2 * true_square / noise
        total += (ratio - 1 - np.log(ratio) + errors).sum() / 2
    return total / SIZE**2


@pytest.mark.parametrize("wavelet", ["haar", "db3", "db4"])
def test_bands_of_the_theory_are_those_of_the_transform(wavelet):
    """Up to a shift of the field, which no stationary law sees, and without a change of sign or order."""
    field = torch.randn(1, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    coarse, details = dwt2(field, wavelet)
    bands = torch.cat([coarse, details], 1)[0].numpy()
    shift = {"haar": -1, "db3": -3, "db4": -4}[wavelet]
    coefficients = np.fft.fft2(np.roll(field[0, 0].numpy(), (shift, shift), (0, 1)), norm="ortho")
    half = SIZE // 2
    aliases = coefficients.reshape(2, half, 2, half).transpose(1, 3, 0, 2).reshape(half, half, 4)
    predicted = (_alias_transform(SIZE, wavelet) @ aliases[..., None])[..., 0]
    measured = np.fft.fft2(bands, norm="ortho").transpose(1, 2, 0)
    np.testing.assert_allclose(measured, predicted, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_networks_predict_the_noise_of_a_dense_gaussian(dtype):
    """By the covariance of all pixels of the scaled bands, from the transform itself."""
    system = exact_wsgm(8, 2.0, steps=2, levels=1, wavelet="haar")
    pixels = torch.eye(64, dtype=torch.float64).reshape(64, 1, 8, 8)
    covariance = torch.fft.ifft2(
        torch.fft.fft2(pixels) * torch.from_numpy(power_law(8, 2.0))
    ).real.reshape(64, 64)
    factor = system.factorization.encode(pixels)[1]
    details, coarse = factor.target.flatten(1), factor.condition.true_ll().flatten(1)
    cross = details.T @ covariance @ coarse
    prior = coarse.T @ covariance @ coarse
    regression = cross @ torch.linalg.inv(prior)
    posterior = details.T @ covariance @ details - regression @ cross.T
    x, condition = torch.randn(2, 3, 4, 4, dtype=dtype), torch.randn(2, 1, 4, 4, dtype=dtype)
    for model, given in zip(system.models, (None, condition), strict=True):
        mean, spread = torch.zeros(2, 16, dtype=torch.float64), prior
        if given is not None:
            mean, spread = given.double().flatten(1) @ regression.T, posterior
        here = x if given is not None else x[:, :1]
        for index, time in enumerate((0.1, 2.0)):
            alpha, variance = np.exp(-time), 1 - np.exp(-2 * time)
            total = alpha**2 * spread + variance * torch.eye(len(spread))
            away = here[index].double().flatten() - alpha * mean[index]
            expected = np.sqrt(variance) * torch.linalg.solve(total, away)
            c_noise = torch.full((2,), 200 * time, dtype=dtype)
            predicted = model.score(here, c_noise, Condition(given))[index]
            assert predicted.dtype is dtype
            # The scales of the bands are float32.
            torch.testing.assert_close(predicted.flatten().double(), expected, atol=1e-5, rtol=1e-5)


def test_a_batch_changes_no_field():
    system = exact_wsgm(SIZE, 1.0, steps=4)
    fields = system.sample(3, seed=1)
    torch.testing.assert_close(system.sample(1, seed=1, start=2), fields[2:], atol=1e-5, rtol=1e-5)


def test_an_exact_score_does_not_learn():
    with pytest.raises(ValueError, match="exact and has nothing to learn"):
        exact_sgm(8, 1.0, steps=2).configure_optimizers()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"size": 12, "levels": 3}, r"size must be even \(a wavelet level halves it\), got 3"),
        ({"size": 16, "levels": 3}, "wavelet 'db4' has 8 taps"),
        ({"size": 16, "wavelet": "bior4.4"}, r"wavelet must be orthogonal, got 'bior4\.4'"),
        ({"size": 16, "levels": 0}, "levels must be at least 1, got 0"),
    ],
)
def test_fields_that_cannot_be_split_are_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        exact_wsgm(eta=1.0, steps=2, **options)


@pytest.mark.slow
@pytest.mark.parametrize("eta", [1.0, 2.0])
@pytest.mark.parametrize("steps", [32, 128])
def test_sgm_draws_the_spectrum_that_the_recursion_predicts(eta, steps):
    images = exact_sgm(SIZE, eta, steps).sample(2048, seed=1, batch_size=512)
    measured = spectrum_of(images)
    assert abs(surprise(measured, drawn_by_sgm(eta, steps), len(images))) < 4
    # It is told from the true spectrum.
    assert surprise(measured, power_law(SIZE, eta), len(images)) > 10
    if (eta, steps) == (2.0, 128):
        # The golden value, of an independent computation with dense matrices; seeds differ by 2e-4.
        # A variance measured on n complex numbers errs by n^-1/2, which adds 1 / 4n to KL.
        kl = kl_per_dimension(power_law(SIZE, eta), measured) - 1 / (4 * len(images))
        assert kl == pytest.approx(9.355610e-3, abs=7e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("eta", "steps", "wavelet"), [(2.0, 32, "db4"), (2.0, 128, "db4"), (1.0, 32, "haar")]
)
def test_wsgm_draws_the_spectrum_that_the_recursion_predicts(eta, steps, wavelet):
    system = exact_wsgm(SIZE, eta, steps, wavelet=wavelet)
    images = system.sample(2048, seed=1, batch_size=512)
    measured = spectrum_of(images)
    assert abs(surprise(measured, drawn_by_wsgm(eta, steps, wavelet), len(images))) < 4
    assert surprise(measured, power_law(SIZE, eta), len(images)) > 10
    if (eta, steps) == (2.0, 128):
        # Seeds differ by 7e-5. The measured gains add another 1 / 4n.
        kl = kl_of_factors(system, images, eta, wavelet) - 1 / (2 * len(images))
        assert kl == pytest.approx(1.617588e-3, abs=3e-4)


@pytest.mark.slow
def test_another_sampler_draws_the_field_itself():
    system = exact_wsgm(SIZE, 2.0, 64, schedule=Karras(), sampler=heun)
    images = system.sample(2048, seed=1, batch_size=512)
    assert abs(surprise(spectrum_of(images), power_law(SIZE, 2.0), len(images))) < 4
