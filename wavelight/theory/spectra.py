"""Spectra of periodic stationary Gaussian fields: the variance of each Fourier coefficient."""

import numpy as np
from numpy.typing import NDArray


def power_law(size: int, eta: float, xi: float | None = None) -> NDArray[np.float64]:
    """Return the spectrum P(w) = c / (xi^eta + |w|^eta) of a field of unit variance (WSGM, Theorem 3).

    Args:
        size: The side L of the field.
        eta: How fast the spectrum falls: 1 is quoted for natural images; 0 is white noise.
        xi: The frequency below which it is flat; none takes 2 pi / L, the lowest frequency.

    Returns:
        ``(L, L)``, of mean 1, at the frequencies 2 pi m / L in the order of ``numpy.fft.fftfreq``;
        ``|w|`` is their Euclidean norm, with m in the symmetric range.

    Raises:
        ValueError: If the side is below 2, ``eta`` negative or ``xi`` not positive.
    """
    if size < 2:
        raise ValueError(f"size must be at least 2, got {size}")
    if eta < 0:
        raise ValueError(f"eta must not be negative, got {eta}")
    xi = 2 * np.pi / size if xi is None else xi
    if xi <= 0:
        raise ValueError(f"xi must be positive, got {xi}")
    frequency = 2 * np.pi * np.fft.fftfreq(size)
    spectrum = 1 / (xi**eta + np.hypot(frequency[:, None], frequency) ** eta)
    return spectrum / spectrum.mean()
