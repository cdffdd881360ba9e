"""The first-order errors of Euler-Maruyama on a Gaussian, in the length of a step and beyond the horizon.

For N(mu, l) in one dimension, sampled with the exact score from N(0, 1) at time T in steps of
length delta (WSGM, Theorem 1 and its appendix):

    variance = l + delta * variance_step_error(l) + e^-4T * variance_horizon_error(l) + ...
    mean = mu (1 + delta * mean_step_error(l) - e^-2T * l + ...)

Where these come from: an error made at time t reaches time 0 multiplied by phi = e^-t l / l_t (its
square, for a variance), the slope of E[x_0 | x_t], with l_t = 1 + e^-2t (l - 1). A step of length
delta from N(e^-t mu, l_t) errs by delta^2 (-l_t - 2 + 4 / l_t) in the variance and by
-delta^2 e^-t mu / 2 in the mean; summed over steps, with y = l_t in the integral,

    variance: l^2 / (2 (l - 1)) * integral from 1 to l of (-1/y - 2/y^2 + 4/y^3) dy,
    mean: -1/2 * integral from 0 to infinity of e^-2t l / l_t dt.

Starting from N(0, 1) in place of N(e^-T mu, l_T) adds phi^2 (1 - l_T) and -phi e^-T mu.
"""

import numpy as np
from numpy.typing import NDArray


def variance_step_error(variances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return S_delta = 1 - l^2 log(l) / (2 (l - 1)), the variance's error per length of a step.

    This is the appendix's; the theorem in the main text has a term (1 - 1/l) / 3 too much.

    Args:
        variances: The eigenvalues l, positive, any shape.
    """
    return 1 - variances**2 * _log_slope(variances) / 2


def variance_horizon_error(variances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return S_T = -(l - 1) l^2, the variance's error per e^-4T.

    Args:
        variances: The eigenvalues l, positive, any shape.
    """
    return -(variances - 1) * variances**2


def mean_step_error(variances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return mu_delta / mu = -l log(l) / (4 (l - 1)), the mean's relative error per length of a step.

    The appendix has a term -2 / l besides, which the recursion does not bear out.

    Args:
        variances: The eigenvalues l, positive, any shape.
    """
    return -variances * _log_slope(variances) / 4


def _log_slope(variances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log(l) / (l - 1), which is 1 at l = 1."""
    excess = variances - 1
    return np.divide(np.log1p(excess), excess, out=np.ones_like(excess), where=excess != 0)
