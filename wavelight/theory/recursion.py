"""Recursion of Euler-Maruyama with the exact score of a Gaussian, and the error of its samples.

The forward process is Ornstein-Uhlenbeck's, x_t = e^-t x_0 + sqrt(1 - e^-2t) z. Given its condition
the target is N(m, Gamma), so that along an eigenvector of Gamma with eigenvalue l

    x_t ~ N(e^-t m, l_t),   l_t = 1 + e^-2t (l - 1),   score(x) = -(x - e^-t m) / l_t.

A step from t to t - delta, with the score at its start, is therefore linear:

    x' = x + delta (x + 2 score(x)) + sqrt(2 delta) z
       = a x + (2 delta e^-t / l_t) m + sqrt(2 delta) z,   a = 1 + delta - 2 delta / l_t.

From x ~ N(0, 1) at the horizon, x stays N(b m, v), with v = 1 and b = 0 at first, and then

    v' = a^2 v + 2 delta,   b' = a b + 2 delta e^-t / l_t.

At t = 0 the sampler has generated N(b m, v) in place of N(m, l): a covariance error, which is that of
WSGM's recursion S' = M S M + 2 delta I, and an error (b - 1) m of the conditional mean.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wavelight.theory.factors import GaussianFactor


class Chain(NamedTuple):
    """Law of the samples in place of N(m, l), along each eigenvector: N(gain m, variance)."""

    variances: NDArray[np.float64]
    gains: NDArray[np.float64]


def uniform_times(steps: int, horizon: float = 10.0) -> NDArray[np.float64]:
    """Return the ``steps + 1`` times from the horizon down to 0 of steps of equal length.

    Raises:
        ValueError: If there is no step, or the horizon is not positive.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    if horizon <= 0:
        raise ValueError(f"horizon must be positive, got {horizon}")
    return np.linspace(horizon, 0, steps + 1)


def euler_maruyama(variances: NDArray[np.float64], times: NDArray[np.float64]) -> Chain:
    """Run Euler-Maruyama with the exact score, from N(0, I) (WSGM, section on Gaussian processes).

    Args:
        variances: The eigenvalues of the covariance, any shape, positive.
        times: From the horizon, falling, to 0, one more than there are steps.

    Returns:
        Arrays of the shape of ``variances``.
    """
    # A spectrum has each value 4 or 8 times, by symmetry.
    distinct, places = np.unique(variances, return_inverse=True)
    generated, gains = np.ones_like(distinct), np.zeros_like(distinct)
    for start, end in pairwise(times):
        step = start - end
        pull = 2 * step / (1 + np.exp(-2 * start) * (distinct - 1))
        factor = 1 + step - pull
        generated = factor**2 * generated + 2 * step
        gains = factor * gains + np.exp(-start) * pull
    places = places.reshape(variances.shape)
    return Chain(generated[places], gains[places])


def kl_divergence(factor: GaussianFactor, chain: Chain) -> float:
    """Return KL(true || sampled) of one factor, in nats, in the mean over true conditions.

    Given a condition, KL(N(m, Gamma) || N(B m, V)) is
    1/2 [Tr(V^-1 Gamma) - n - log det(V^-1 Gamma) + m^H (B - 1)^H V^-1 (B - 1) m]: the squared error
    of the mean counts in the metric of the sampler's covariance, since that is the density whose
    logarithm is averaged. Gamma, B and V share their eigenvectors, so that the mean over conditions
    needs E |m_i|^2 only. Complex Fourier coefficients change nothing: they come in conjugate pairs
    that make up two real dimensions, and each of the pair is counted once.

    By the chain rule, KL of a whole field is the sum over its factors, each given the TRUE coarse
    band: KL(p || p^) = KL(p_J || p^_J) + sum_j E_p KL(p(details_j | coarse_j) || p^(...)).
    """
    ratio = factor.variances / chain.variances
    mean_errors = (chain.gains - 1) ** 2 * factor.mean_squares / chain.variances
    return float(0.5 * (ratio - 1 - np.log(ratio) + mean_errors).sum())
