"""The largest error of a sampled covariance, relative to the largest eigenvalue: the measure of WSGM's figures.

For SGM it is max |P^ - P| / max P over frequencies. For one level of WSGM, whose LL is the
true one, it is the largest operator norm of the error of an alias block; the wavelet transform is
unitary, so that this is also the norm for the field.
"""

import numpy as np
from numpy.typing import NDArray

from wavelight.theory.aliasing import split
from wavelight.theory.factors import pixel_factor
from wavelight.theory.recursion import euler_maruyama


def pixel_error(spectrum: NDArray[np.float64], times: NDArray[np.float64]) -> float:
    """Return the largest error of the spectrum that SGM samples, relative to its peak.

    Args:
        spectrum: ``(L, L)``, of any scale: SGM samples the field at unit variance.
        times: Times of the sampler, falling to 0.
    """
    variances = pixel_factor(spectrum).variances
    generated = euler_maruyama(variances, times).variances
    return float(np.abs(generated - variances).max() / variances.max())


def level_error(spectrum: NDArray[np.float64], wavelet: str, times: NDArray[np.float64]) -> float:
    """Return the largest error of the covariance of a true LL with details that WSGM samples.

    Args:
        spectrum: ``(L, L)``, even ``L``, of any scale: details are sampled at unit mean square.
        wavelet: An orthogonal wavelet of PyWavelets.
        times: Times of the sampler, falling to 0.

    Raises:
        ValueError: If the side is odd, or no orthogonal wavelet has this name.
    """
    level = split(spectrum, wavelet)
    variances, vectors = np.linalg.eigh(level.covariance / level.variance)
    generated = euler_maruyama(variances, times)
    adjoint = vectors.conj().swapaxes(-1, -2)
    noise_error = (
        level.variance * (vectors * (generated.variances - variances)[..., None, :]) @ adjoint
    )
    bias = (vectors * generated.gains[..., None, :]) @ adjoint @ level.regression[..., None]
    mean = level.regression[..., None]
    coarse = level.coarse[..., None, None]
    # The details are bias x + noise with x the true coarse coefficient, so that LL is exact, the
    # cross-covariance is off by (bias - mean) Var(x), and the details by both errors.
    error = np.zeros((*level.coarse.shape, 4, 4), dtype=complex)
    error[..., 1:, :1] = (bias - mean) * coarse
    error[..., :1, 1:] = error[..., 1:, :1].conj().swapaxes(-1, -2)
    error[..., 1:, 1:] = noise_error + coarse * (_outer(bias) - _outer(mean))
    return float(np.abs(np.linalg.eigvalsh(error)).max() / spectrum.max())


def _outer(column: NDArray[np.complex128]) -> NDArray[np.complex128]:
    return column @ column.conj().swapaxes(-1, -2)
