"""How far values are from a Gaussian, whatever their mean and variance."""

from math import pi, sqrt

import torch
from torch import Tensor

from wavelight.evaluation.bands.histogram import standardise

_NEGENTROPY_ODD = 36 / (8 * sqrt(3) - 9)
_NEGENTROPY_EVEN = 24 / (16 * sqrt(3) - 27)


def excess_kurtosis(values: Tensor, weights: Tensor) -> Tensor:
    """Return the fourth standardised moment less 3: 0 for a Gaussian, 3 for a Laplace distribution.

    Args:
        values: ``(V,)``.
        weights: How often each counts, ``(..., V)``.

    Returns:
        ``(...)``.
    """
    z, shares = standardise(values, weights)
    return (shares * z**4).sum(-1) - 3


def negentropy(values: Tensor, weights: Tensor) -> Tensor:
    """Approximate the entropy, in nats, that values lack for being Gaussian of the same variance.

    The approximation of maximum entropy for densities not far from a Gaussian with the functions
    z exp(-z^2/2) and exp(-z^2/2) (Hyvärinen 1998, «New approximations of differential entropy»,
    the variant that is robust against outliers). Unlike histogram entropies it does not mistake the
    steps of 8-bit images for structure.

    Args:
        values: ``(V,)``.
        weights: How often each counts, ``(..., V)``.

    Returns:
        ``(...)``, at least 0.
    """
    z, shares = standardise(values, weights)
    bell = (-z.square() / 2).exp()
    odd, even = (shares * z * bell).sum(-1), (shares * bell).sum(-1)
    return _NEGENTROPY_ODD * odd.square() + _NEGENTROPY_EVEN * (even - sqrt(0.5)).square()


def sliced_wasserstein(patches: Tensor, directions: Tensor, weights: Tensor) -> Tensor:
    """Return the sliced Wasserstein-2 distance of patches to the Gaussian of their mean and covariance.

    Each projection is brought to variance 1 (which its fitted Gaussian then has, too), so the
    distance is in standard deviations, and directions in which patches vary little count as much as
    others: the root of the mean square over the directions (Bonneel et al. 2015). In one dimension
    the distance is exact: with values x_i that cover the quantiles from c_{i-1} to c_i, it is
    W^2 = 2 - 2 sum_i x_i [phi(q(c_{i-1})) - phi(q(c_i))], q the quantile of N(0, 1), phi its density.

    Args:
        patches: ``(M, D)``.
        directions: Directions of the projections, ``(K, D)``, of any length but 0.
        weights: How often each patch counts, ``(B, M)``.

    Returns:
        ``(B,)``, at least 0; M patches of a Gaussian give about sqrt(log log M / M).
    """
    projected, order = (patches.double() @ directions.double().T).T.sort(dim=1)  # (K, M)
    distances = []
    for row in weights.double():
        shares = row[order] / row.sum()
        centred = projected - (shares * projected).sum(1, keepdim=True)
        std = (shares * centred.square()).sum(1).sqrt()
        quantiles = torch.special.ndtri(shares.cumsum(1).clamp_(max=1))
        density = (-quantiles.square() / 2).exp() / sqrt(2 * pi)
        before = torch.nn.functional.pad(density[:, :-1], (1, 0))
        squares = 2 - 2 * (centred * (before - density)).sum(1) / std
        distances.append(squares.mean().clamp(min=0).sqrt())
    return torch.stack(distances)
