"""The Fréchet distance between two Gaussians, Gaussians from running sums, and the metric of both."""

import warnings
from typing import NamedTuple

import torch
from torch import Tensor
from typing_extensions import override

from wavelight.metrics.sums import SumMetric, Sums
from wavelight.support.collectives import rank


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


class FrechetDistance(SumMetric):
    """The squared Fréchet distance of the Gaussians of features (Heusel et al., 2017).

    It falls with n, so only numbers of equal n compare; below as many images as features it warns.

    Args:
        name: Name of the distance in logs.
    """

    least = 2

    def __init__(self, name: str) -> None:
        super().__init__("total", "outer")
        self.name = name
        self._few = FewImages(name, "features")

    @property
    @override
    def identity(self) -> str:
        return f"{self.name} of sums"

    @override
    def update(self, features: Tensor, real: bool) -> None:
        """Add features ``(N, D)`` to the sums."""
        x = features.double()
        self.add(real, len(x), total=x.sum(0), outer=x.T @ x)

    @override
    def compute(self) -> dict[str, Tensor]:
        """Return the distance, a float64 scalar. Collective.

        Raises:
            ValueError: If there are fewer than two real or two generated images.
        """
        generated, real = self.totals()
        self._few.warn(int(generated["count"]), int(real["count"]), len(generated["total"]))
        return {self.name: frechet_distance(_gaussian(real), _gaussian(generated))}


class FewImages:
    """A warning, once, of a Fréchet distance that is measured on too few images.

    Args:
        name: Name of the distance.
        dimensions: Its Gaussians' dimensions in words.
    """

    def __init__(self, name: str, dimensions: str) -> None:
        self._name = name
        self._dimensions = dimensions
        self._warned = False

    def warn(self, generated: int, real: int, dimension: int) -> None:
        """Warn on the first process if there are at most ``dimension`` images of either side."""
        if min(generated, real) > dimension or self._warned or rank() != 0:
            return
        self._warned = True
        warnings.warn(
            f"{self._name} of {generated} generated and {real} real images: with at most {dimension} "
            f"images (the {self._dimensions}) covariances are singular and the distance "
            "is far too large: compare it at equal n only",
            stacklevel=4,
        )


def _gaussian(sums: Sums) -> Gaussian:
    return gaussian_from_sums(sums["count"], sums["total"], sums["outer"])


def _trace(gaussian: Gaussian) -> Tensor:
    return gaussian.covariance.diagonal(dim1=-2, dim2=-1).sum(-1)
