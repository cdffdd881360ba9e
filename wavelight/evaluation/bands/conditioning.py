"""Details given LL: what is left of them when what the 3x3 neighbourhood in LL predicts is taken away.

Two predictions. The mean alone, linear in the neighbourhood, is what Gaussian theory calls conditional.
With the scale as well, the residual is divided by the standard deviation that LL leads one to expect:
Wainwright and Simoncelli (2000, «Scale mixtures of Gaussians and the statistics of natural images»)
found coefficients close to Gaussian once the scale of their surroundings is divided out. A conditional
distribution that depends on more of LL than 3x3 is narrower still than what is seen here.
"""

from math import log
from typing import NamedTuple

import torch
from torch import Tensor

from wavelight.wavelets import dwt2, filter_length

_SIDE = 3
_FLOOR = 1e-4
_RIDGE = 1e-8
_ITERATIONS = 100
_FIRST_CONSTANT = 0.01


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


def detail_shifts(wavelet: str) -> list[tuple[int, int]]:
    """Return by how much to roll each detail band, in rows and columns, to lie where LL lies.

    The two filters of a Daubechies wavelet mirror each other and delay what they pass differently, by
    a few places for long ones; Haar's do not. Measured by where the energy of impulses goes.

    Args:
        wavelet: A name that :func:`wavelight.wavelets.dwt2` knows.

    Returns:
        For LH, HL and HH.
    """
    side = 4 * filter_length(wavelet)
    middle = side // 2
    impulses = torch.zeros(4, 1, side, side)
    for row in range(2):
        for column in range(2):
            impulses[2 * row + column, 0, middle + row, middle + column] = 1
    coarse, details = dwt2(impulses, wavelet)
    energy = torch.cat([coarse, details], dim=1).square().mean(0)  # (4, H, W)
    places = torch.arange(side // 2, dtype=energy.dtype)
    rows = (energy.sum(2) @ places / energy.sum((1, 2))).tolist()
    columns = (energy.sum(1) @ places / energy.sum((1, 2))).tolist()
    return [
        (round(rows[0] - row), round(columns[0] - column))
        for row, column in zip(rows[1:], columns[1:], strict=True)
    ]


class LinearPrediction(NamedTuple):
    """The best linear prediction of details from neighbourhoods in LL."""

    weight: Tensor
    """``(9 C + 1, B)``; the last row is the constant."""

    def residual(self, details: Tensor, around: Tensor) -> Tensor:
        """Return what is left of details.

        Args:
            details: ``(P, B)``.
            around: Neighbourhoods from :func:`neighbourhoods`, ``(P, C, 9)``.

        Returns:
            ``(P, B)`` float64.
        """
        return details.double() - _with_constant(around.flatten(1).double()) @ self.weight


class LocalScale(NamedTuple):
    """The standard deviation of each detail that its neighbourhood in LL leads one to expect."""

    floor: Tensor
    """The energies count in these, and 1 is added, that flat places have a logarithm, ``(6,)``."""

    mean: Tensor
    """Mean of each feature, ``(F,)``."""

    std: Tensor
    """Standard deviation of each feature, ``(F,)``."""

    weight: Tensor
    """Coefficients of the logarithm of the part of the variance that LL predicts, ``(F + 1, B)``."""

    constant: Tensor
    """The logarithm of the other part, which is there wherever LL is flat, ``(B,)``."""

    def scale(self, around: Tensor) -> Tensor:
        """Return standard deviations.

        Args:
            around: Neighbourhoods from :func:`neighbourhoods`, ``(P, C, 9)``.

        Returns:
            ``(P, B)`` float64, positive.
        """
        features = (_features(around, self.floor) - self.mean) / self.std
        return (_log_variance(_with_constant(features), self.weight, self.constant) / 2).exp()


def fit_linear(details: Tensor, around: Tensor) -> LinearPrediction:
    """Fit the linear prediction by least squares.

    Args:
        details: ``(P, B)``.
        around: Neighbourhoods from :func:`neighbourhoods`, ``(P, C, 9)``.
    """
    inputs = _with_constant(around.flatten(1).double())
    # Neighbours may be equal: grey pictures in three channels.
    weight = torch.linalg.lstsq(inputs, details.double(), driver="gelsd").solution
    return LinearPrediction(weight)


def fit_scale(residual: Tensor, around: Tensor) -> LocalScale:
    """Fit the scale: a constant variance and one log-linear in energies of LL, by a Gaussian's likelihood.

    The features, averaged over channels: the logarithms of the squares of LL's first differences (2)
    and second differences (3) and of its variance in the neighbourhood, the square of the latter
    logarithm, and LL's mean and its square, for dark and saturated places are flat. The constant is that
    of Wainwright and Simoncelli's prediction, too: the noise of pictures, and their 8 bits.

    Args:
        residual: Residual of the linear prediction, ``(P, B)``.
        around: Neighbourhoods from :func:`neighbourhoods`, ``(P, C, 9)``.
    """
    floor = _FLOOR * _energies(around).mean(0) + torch.finfo(torch.float32).tiny
    features = _features(around, floor)
    mean, std = features.mean(0), features.std(0)
    std = torch.where(std > 0, std, 1)
    inputs = _with_constant((features - mean) / std)
    power = residual.double().square()
    power = power / power.mean(0)
    weight = torch.zeros(inputs.shape[1], power.shape[1], dtype=torch.float64, requires_grad=True)
    constant = torch.full_like(power[0], log(_FIRST_CONSTANT)).requires_grad_()
    optimizer = torch.optim.LBFGS(
        [weight, constant], max_iter=_ITERATIONS, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        logs = _log_variance(inputs, weight, constant)
        value = (logs + power * (-logs).exp()).mean(0).sum() + _RIDGE * weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    unit = residual.double().square().mean(0).log()
    fitted = weight.detach()
    fitted[-1] += unit
    return LocalScale(floor, mean, std, fitted, constant.detach() + unit)


def _log_variance(inputs: Tensor, weight: Tensor, constant: Tensor) -> Tensor:
    return torch.logaddexp(inputs @ weight, constant)


def _with_constant(inputs: Tensor) -> Tensor:
    return torch.cat([inputs, torch.ones_like(inputs[:, :1])], dim=1)


def _energies(around: Tensor) -> Tensor:
    """Return squares of differences along both axes, of second differences, and the variance, ``(P, 6)``."""
    a, b, c, d, e, f, g, h, i = around.double().unbind(-1)
    differences = [f - d, h - b, d - 2 * e + f, b - 2 * e + h, a - c - g + i]
    squares = [each.square().mean(1) for each in differences]
    return torch.stack([*squares, around.double().var(-1).mean(1)], dim=1)


def _features(around: Tensor, floor: Tensor) -> Tensor:
    logs = (_energies(around) / floor).log1p()
    mean = around.double().mean((1, 2))
    curved = [logs[:, -1].square(), mean, mean.square()]
    return torch.cat([logs, torch.stack(curved, dim=1)], dim=1)
