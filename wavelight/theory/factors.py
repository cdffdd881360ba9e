"""The Gaussian laws that SGM and WSGM sample one after the other, in the bases where coefficients are independent.

The exact score of a Gaussian N(m, Gamma) commutes with Gamma, and so does each step of a sampler
that starts from N(0, I). In the eigenbasis of Gamma every coefficient therefore goes its own way,
and all that matters of a factor is an eigenvalue and the size of the conditional mean for each.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wavelight.theory.aliasing import Level, split


class GaussianFactor(NamedTuple):
    """A factor p(target | condition) of a Gaussian field, one entry for each dimension of the target."""

    variances: NDArray[np.float64]
    """The eigenvalues of the covariance of the target given the condition, positive."""

    mean_squares: NDArray[np.float64]
    """E |conditional mean|^2 along each eigenvector, over true conditions; 0 without a condition."""

    @property
    def condition_number(self) -> float:
        """The largest eigenvalue over the smallest."""
        return float(self.variances.max() / self.variances.min())


def pixel_factor(spectrum: NDArray[np.float64]) -> GaussianFactor:
    """Return the only factor of SGM: the field itself, scaled so that the trace of its covariance is d.

    Args:
        spectrum: ``(L, L)``.
    """
    variances = spectrum.ravel() / spectrum.mean()
    return GaussianFactor(variances, np.zeros_like(variances))


def pyramid_factors(
    spectrum: NDArray[np.float64], wavelet: str, levels: int
) -> list[GaussianFactor]:
    """Return the factors of WSGM: the coarsest band, then the details of each level, from coarse to fine.

    Each is scaled by one number to unit mean variance: for details that is WSGM's gamma_j; for the
    coarsest band, which the paper's gammas alone would leave large, it is one scalar more.

    Args:
        spectrum: ``(L, L)``, ``L`` divisible by ``2**levels``.
        wavelet: An orthogonal wavelet of PyWavelets.
        levels: How often to split LL; at 0 the pyramid is the field.

    Raises:
        ValueError: If the side cannot be split that often, or no orthogonal wavelet has this name.
    """
    size = len(spectrum)
    if levels < 0 or size % 2**levels:
        raise ValueError(
            f"size must be divisible by 2**levels, with levels {levels} not negative, got {size}"
        )
    details = []
    for _ in range(levels):
        level = split(spectrum, wavelet)
        details.append(detail_factor(level))
        spectrum = level.coarse
    return [pixel_factor(spectrum), *reversed(details)]


def detail_factor(level: Level) -> GaussianFactor:
    """Return the factor of a level's details given its LL, at unit mean-square detail.

    With Gamma = U diag(l) U^H at a coarse frequency, the conditional mean A x has the squares
    E |u_i^H A x|^2 = |u_i^H A|^2 Var(x).
    """
    variances, vectors = np.linalg.eigh(level.covariance / level.variance)
    projections = np.einsum("...ji,...j->...i", vectors.conj(), level.regression)
    mean_squares = np.abs(projections) ** 2 * (level.coarse / level.variance)[..., None]
    return GaussianFactor(variances.ravel(), mean_squares.ravel())
