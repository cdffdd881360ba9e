"""Gaussian fields with a power-law spectrum: data whose distribution is known in full."""

from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from typing_extensions import override

from data_modules.errors import DataError
from data_modules.source import Sample, Source

Spectrum = NDArray[np.float64]

# To be raised with every change that alters any field, for it keys the caches of statistics.
_EDITION = 1


class GaussianFields(Source):
    """Stationary periodic Gaussian fields of mean 0, sampled when they are read.

    The power spectrum is P(w) = c / (xi^eta + |w|^eta), with c such that a pixel has variance 1:
    the data of the exact theory of WSGM (Guth et al. 2022, theorem 3). Fields have one channel and
    no bounds. Image i is a function of the seed, i and the size alone; fields of one number at two
    sizes have nothing to do with each other.

    Args:
        images: How many different fields there are.
        eta: The exponent of the spectrum: 0 is white noise, 1 is like photographs, 2 is smoother.
        seed: Which fields they are; another seed gives others of the same kind. At least 0.
        xi: The frequency, in radians a pixel, below which the spectrum is flat; 2 pi / size when
            left out, which is the lowest frequency that a field has.

    Raises:
        DataError: If there are no images, eta or the seed is negative, or xi is not positive.
    """

    channels = 1
    value_range = None

    def __init__(self, images: int, eta: float, seed: int = 0, xi: float | None = None) -> None:
        if images < 1:
            raise DataError(f"images must be at least 1, got {images}")
        if seed < 0:
            raise DataError(f"seed must not be negative, got {seed}")
        _check_spectrum(eta, xi)
        self.images = images
        self.eta = eta
        self.seed = seed
        self.xi = xi

    @property
    @override
    def description(self) -> str:
        return (
            f"Gaussian fields, edition {_EDITION}: {self.images} of seed {self.seed}, "
            f"eta {self.eta}, xi {self.xi}"
        )

    @override
    def __len__(self) -> int:
        return self.images

    @override
    def check(self, size: int) -> None:
        if size < 1:
            raise DataError(f"image_size must be at least 1, got {size}")

    @override
    def read(self, index: int, size: int) -> Sample:
        """Sample one field, ``(1, size, size)`` float32.

        Raises:
            IndexError: If there is no field of this number.
            DataError: If there are no fields of this size.
        """
        if not 0 <= index < self.images:
            raise IndexError(
                f"field {index} is out of range: fields are numbered 0 to {self.images - 1}"
            )
        noise = np.random.default_rng((self.seed, index)).standard_normal((size, size))
        # A real field needs only one half of its transform along the last axis.
        waves = np.fft.rfft2(noise) * self._gain(size)
        field = np.fft.irfft2(waves, s=(size, size)).astype(np.float32)
        return Sample(torch.from_numpy(field)[None])

    def _gain(self, size: int) -> Spectrum:
        if size not in self._opened_gains:
            self.check(size)
            spectrum = power_law(size, self.eta, self.xi)
            self._opened_gains[size] = np.sqrt(spectrum[:, : size // 2 + 1])
        return self._opened_gains[size]

    @cached_property
    def _opened_gains(self) -> dict[int, Spectrum]:
        return {}


def power_law(size: int, eta: float, xi: float | None = None) -> Spectrum:
    """Return the power spectrum P(w) = c / (xi^eta + |w|^eta) of a periodic field (Guth et al. 2022, theorem 3).

    The values are the eigenvalues of the field's covariance: ``E|fft2(x)(w)|^2 / size^2``. Their
    mean is 1, so that the trace of the covariance is the number of pixels.

    Args:
        size: Height and width L, in pixels.
        eta: The exponent, at least 0.
        xi: In radians a pixel, positive; 2 pi / L when left out.

    Returns:
        ``(L, L)``, at the frequencies w = 2 pi m / L in the order of ``fft2``, with m in the
        symmetric range and |w| the Euclidean norm.

    Raises:
        DataError: If eta is negative or xi is not positive.
    """
    _check_spectrum(eta, xi)
    frequencies = 2 * np.pi * np.fft.fftfreq(size)
    radius = np.hypot(frequencies[:, None], frequencies)
    power = 1 / ((2 * np.pi / size if xi is None else xi) ** eta + radius**eta)
    return power / power.mean()


def _check_spectrum(eta: float, xi: float | None) -> None:
    if eta < 0:
        raise DataError(
            f"eta must not be negative, got {eta}: the power spectrum falls with frequency"
        )
    if xi is not None and xi <= 0:
        raise DataError(f"xi must be positive, got {xi}: leave it out for 2 pi / size")
