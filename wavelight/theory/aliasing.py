"""One wavelet level of a periodic stationary field: a 4x4 covariance at each coarse frequency.

Subsampling by 2 maps the frequencies m and m + L/2 of a side to one, so that in two dimensions a
coarse frequency mixes 4 fine ones, its aliases, and no others. The 4 Fourier coefficients of the
bands there are a unitary combination of the 4 of the field, which are independent.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Filters are tabulated to about 1e-12, but for dmey, which is orthogonal only to 1e-3.
_TOLERANCE = 1e-7


class Level(NamedTuple):
    """The law of the details given LL, at each of the M x M coarse frequencies.

    With x the Fourier coefficients of LL, those of the details LH, HL, HH are
    N(regression x, covariance), independently from one frequency to the next. Units are those of
    the field: no band is rescaled.
    """

    coarse: NDArray[np.float64]
    """The spectrum of LL, ``(M, M)``: it is stationary again."""

    regression: NDArray[np.complex128]
    """Cov(details, coarse) / Var(coarse), ``(M, M, 3)``."""

    covariance: NDArray[np.complex128]
    """Cov(details | coarse), the Schur complement, ``(M, M, 3, 3)``, Hermitian."""

    variance: float
    """The mean variance of a detail coefficient, gamma^2 of WSGM's renormalisation."""


def split(spectrum: NDArray[np.float64], wavelet: str) -> Level:
    """Split a field of this spectrum by one level of a separable, periodised wavelet transform.

    Args:
        spectrum: ``(L, L)``, even ``L``, in the order of ``numpy.fft.fftfreq``.
        wavelet: An orthogonal wavelet of PyWavelets; filters longer than the side wrap around.

    Returns:
        The level, of side M = L/2. It does not depend on where the transform puts its first
        coefficient, since a shift of a stationary field leaves its law.

    Raises:
        ValueError: If the side is odd, or no orthogonal wavelet has this name.
    """
    size = len(spectrum)
    transform = _alias_transform(size, wavelet)
    half = size // 2
    aliases = spectrum.reshape(2, half, 2, half).transpose(1, 3, 0, 2).reshape(half, half, 1, 4)
    block = (transform * aliases) @ transform.conj().swapaxes(-1, -2)
    coarse = block[..., 0, 0].real
    cross = block[..., 1:, 0]
    details = block[..., 1:, 1:]
    regression = cross / coarse[..., None]
    return Level(
        coarse=coarse,
        regression=regression,
        covariance=details - regression[..., :, None] * cross.conj()[..., None, :],
        variance=float(np.trace(details, axis1=-2, axis2=-1).real.mean() / 3),
    )


def _alias_transform(size: int, wavelet: str) -> NDArray[np.complex128]:
    """Return the unitary map from the 4 aliases to LL, LH, HL, HH, ``(L/2, L/2, 4, 4)``."""
    side = _side_transform(size, wavelet)
    half = size // 2
    # Bands of the width before those of the height puts LH, high along the height, before HL.
    return np.einsum("iab,jcd->ijcabd", side, side).reshape(half, half, 4, 4)


def _side_transform(size: int, wavelet: str) -> NDArray[np.complex128]:
    """Return the unitary map from aliases m, m + L/2 to the low and high band, ``(L/2, 2, 2)``."""
    # Late, because it is slow to import.
    import pywt

    if size % 2:
        raise ValueError(f"size must be even (a wavelet level halves it), got {size}")
    if wavelet not in pywt.wavelist(kind="discrete"):
        raise ValueError(
            f"there is no wavelet {wavelet!r}: the orthogonal families are haar, db, sym, coif"
        )
    filters = np.array(pywt.Wavelet(wavelet).filter_bank[:2])
    frequency = 2 * np.pi * np.arange(size) / size
    # At the frequencies of the field itself, where a filter and its periodic wrap are the same.
    response = filters @ np.exp(-1j * np.outer(np.arange(filters.shape[1]), frequency))
    # The square root of 2 belongs to the unitary Fourier transforms of L and L/2 coefficients.
    transform = response.reshape(2, 2, size // 2).transpose(2, 0, 1) / np.sqrt(2)
    identity = transform @ transform.conj().swapaxes(-1, -2)
    if np.abs(identity - np.eye(2)).max() > _TOLERANCE:
        raise ValueError(f"wavelet must be orthogonal, got {wavelet!r}")
    return transform
