"""Details given LL: what is left of them when what the 3x3 neighbourhood in LL predicts is taken away.

Two predictions. The mean alone, linear in the neighbourhood, is what Gaussian theory calls conditional.
With the scale as well, the residual is divided by the standard deviation that LL leads one to expect:
Wainwright and Simoncelli (2000, «Scale mixtures of Gaussians and the statistics of natural images»)
found coefficients close to Gaussian once the scale of their surroundings is divided out. A conditional
distribution that depends on more of LL than 3x3 is narrower still than what is seen here.
"""

from typing import NamedTuple

import torch
from torch import Tensor

_SIDE = 3
_FLOOR = 1e-4
_RIDGE = 1e-8
_ITERATIONS = 100


def neighbourhoods(coarse: Tensor) -> Tensor:
    """Return the 3x3 neighbourhood of each place of LL but those at the border.

    Args:
        coarse: LL, ``(N, C, H, W)``.

    Returns:
        ``(N (H-2) (W-2), C, 9)``, row by row.
    """
    windows = coarse.unfold(2, _SIDE, 1).unfold(3, _SIDE, 1)  # (N, C, H-2, W-2, 3, 3)
    return windows.permute(0, 2, 3, 1, 4, 5).flatten(4).flatten(0, 2)


def interior(band: Tensor) -> Tensor:
    """Return a band without its border, ``(N, B, H, W)`` to ``(N, B, H-2, W-2)``."""
    return band[..., 1:-1, 1:-1]


class LinearPrediction(NamedTuple):
    """The best linear prediction of details from neighbourhoods in LL."""

    weight: Tensor
    """``(9 C + 1, B)``; the last row is the constant."""

    def residual(self, details: Tensor, around: Tensor) -> Tensor:
        """Return what is left of details.

        Args:
            details: ``(P, B)``.
            around: Of :func:`neighbourhoods`, ``(P, C, 9)``.

        Returns:
            ``(P, B)`` float64.
        """
        return details.double() - _with_constant(around.flatten(1).double()) @ self.weight


class LocalScale(NamedTuple):
    """The standard deviation of each detail that its neighbourhood in LL leads one to expect."""

    floor: Tensor
    """Added to the energies, that flat places have a logarithm, ``(6,)``."""

    mean: Tensor
    """Of each feature, ``(F,)``."""

    std: Tensor
    """Of each feature, ``(F,)``."""

    weight: Tensor
    """Of the logarithm of the variance, ``(F + 1, B)``."""

    def scale(self, around: Tensor) -> Tensor:
        """Return standard deviations.

        Args:
            around: Of :func:`neighbourhoods`, ``(P, C, 9)``.

        Returns:
            ``(P, B)`` float64, positive.
        """
        features = (_features(around, self.floor) - self.mean) / self.std
        return (_with_constant(features) @ self.weight / 2).exp()


def fit_linear(details: Tensor, around: Tensor) -> LinearPrediction:
    """Fit the linear prediction by least squares.

    Args:
        details: ``(P, B)``.
        around: Of :func:`neighbourhoods`, ``(P, C, 9)``.
    """
    inputs = _with_constant(around.flatten(1).double())
    # Neighbours may be equal: grey pictures in three channels.
    weight = torch.linalg.lstsq(inputs, details.double(), driver="gelsd").solution
    return LinearPrediction(weight)


def fit_scale(residual: Tensor, around: Tensor) -> LocalScale:
    """Fit the scale: log variance linear in log energies of LL, by maximum likelihood of a Gaussian.

    The features, averaged over channels: the logarithms of the squares of LL's first differences (2)
    and second differences (3) and of its variance in the neighbourhood, the square of the latter
    logarithm, and LL's mean and its square, for dark and saturated places are flat. The
    likelihood is convex in the weights.

    Args:
        residual: Of the linear prediction, ``(P, B)``.
        around: Of :func:`neighbourhoods`, ``(P, C, 9)``.
    """
    floor = _FLOOR * _energies(around).mean(0) + torch.finfo(torch.float32).tiny
    features = _features(around, floor)
    mean, std = features.mean(0), features.std(0)
    std = torch.where(std > 0, std, 1)
    inputs = _with_constant((features - mean) / std)
    power = residual.double().square()
    power = power / power.mean(0)
    weight = torch.zeros(inputs.shape[1], power.shape[1], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight], max_iter=_ITERATIONS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        logs = inputs @ weight
        value = (logs + power * (-logs).exp()).mean(0).sum() + _RIDGE * weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    fitted = weight.detach()
    fitted[-1] += residual.double().square().mean(0).log()
    return LocalScale(floor, mean, std, fitted)


def _with_constant(inputs: Tensor) -> Tensor:
    return torch.cat([inputs, torch.ones_like(inputs[:, :1])], dim=1)


def _energies(around: Tensor) -> Tensor:
    """Return squares of differences along both axes, of second differences, and the variance, ``(P, 6)``."""
    a, b, c, d, e, f, g, h, i = around.double().unbind(-1)
    differences = [f - d, h - b, d - 2 * e + f, b - 2 * e + h, a - c - g + i]
    squares = [each.square().mean(1) for each in differences]
    return torch.stack([*squares, around.double().var(-1).mean(1)], dim=1)


def _features(around: Tensor, floor: Tensor) -> Tensor:
    logs = (_energies(around) + floor).log()
    mean = around.double().mean((1, 2))
    curved = [logs[:, -1].square(), mean, mean.square()]
    return torch.cat([logs, torch.stack(curved, dim=1)], dim=1)
