"""The Fréchet distance between two Gaussians, and Gaussians from running sums."""

from typing import NamedTuple

import torch
from torch import Tensor


class Gaussian(NamedTuple):
    """Means ``(..., D)`` and covariances ``(..., D, D)``."""

    mean: Tensor
    covariance: Tensor


def gaussian_from_sums(count: Tensor, total: Tensor, outer: Tensor) -> Gaussian:
    """Make Gaussians of sums over samples, which add up over batches and processes.

    The covariance is the unbiased one (divisor n - 1). It is the difference of two large numbers
    where means are far from 0, so the sums want float64.

    Args:
        count: ``(...)``, the number n of samples, at least 2.
        total: ``(..., D)`` float64, the sum of the samples.
        outer: ``(..., D, D)`` float64, the sum of their outer products.
    """
    count = count.to(total.dtype)[..., None]
    mean = total / count
    centred = outer - mean[..., :, None] * total[..., None, :]
    return Gaussian(mean, centred / (count - 1)[..., None])


def frechet_distance(first: Gaussian, second: Gaussian) -> Tensor:
    """Return the squared Fréchet distance of two Gaussians, ``(...)`` (Dowson and Landau, 1982).

    |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)). With S1 = F F^T the matrices S1 S2 and F^T S2 F
    have equal eigenvalues, and the second is symmetric: two symmetric eigenvalue problems replace
    the square root of a matrix. Singular covariances are no special case.

    Args:
        first: ``(..., D)`` and ``(..., D, D)``, float64.
        second: The same.
    """
    variances, axes = torch.linalg.eigh(first.covariance)
    factor = axes * variances.clamp(min=0).sqrt()[..., None, :]
    common = (
        torch.linalg.eigvalsh(factor.mT @ second.covariance @ factor).clamp(min=0).sqrt().sum(-1)
    )
    return (first.mean - second.mean).square().sum(-1) + _trace(first) + _trace(second) - 2 * common


def _trace(gaussian: Gaussian) -> Tensor:
    return gaussian.covariance.diagonal(dim1=-2, dim2=-1).sum(-1)
