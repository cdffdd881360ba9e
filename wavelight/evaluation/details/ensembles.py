"""How the spread of several samples at one LL compares with their error."""

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Diversity(NamedTuple):
    """Measures of samples of the details of one level, conditioned on true LL bands."""

    system: str
    level: int
    band: str
    """``all``, or one of a wavelet's three."""

    unit: float
    """The standard deviation of the true details, as the transform gives them; what follows is divided by it."""

    spread: float
    """The standard deviation of samples at one LL, root mean square over bands and coefficients."""

    error: float
    """The root mean square error of the expectation of the samples."""

    crps: float
    """The continuous ranked probability score, its mean over coefficients."""

    ratio_error: float
    """The standard error of the ratio, by the differences between images."""

    @property
    def ratio(self) -> float:
        """The spread-skill ratio, spread over error: 1 where the truth cannot be told from a sample by its variance."""
        return self.spread / self.error if self.error else math.nan

    @property
    def explained(self) -> float:
        """The share of the variance of the true details that the expectation explains; negative where it harms."""
        return 1 - self.error**2


class EnsembleScores:
    """How the spread of an ensemble's members compares with their error, channel by channel.

    All means are estimated without bias for any number K of members. With s^2 the variance of the members (divisor
    K - 1) and e^2 the squared error of their mean, the squared error of their expectation is e^2 - s^2 / K. Where
    the truth is generated as members are, its mean is that of s^2, which is the condition of Fortin et al. (2014, "Why
    should ensemble spread match the RMSE of the ensemble mean?"), there (K + 1) / K * s^2 = e^2; and twice the spread
    gives a ratio of 2 whatever K is, which is not so of theirs.

    The continuous ranked probability score E|X - y| - E|X - X'| / 2 (Gneiting and Raftery, 2007, equation 21) is the
    fair one, whose second mean is over different members (Ferro, 2014).
    """

    def __init__(self) -> None:
        self._terms: list[Tensor] = []

    def update(self, ensemble: Tensor, true: Tensor) -> None:
        """Add members and truths.

        Args:
            ensemble: ``(K, N, C, H, W)``, K at least 2.
            true: ``(N, C, H, W)``.
        """
        members = len(ensemble)
        # From the first member on, equal members have no spread at all, not even by rounding.
        apart, truth = ensemble - ensemble[0], true - ensemble[0]
        variance = apart.var(0)
        error = (apart.mean(0) - truth).square() - variance / members
        weights = torch.arange(1 - members, members, 2, device=true.device).reshape(-1, 1, 1, 1, 1)
        differences = (weights * apart.sort(0).values).sum(0) / (members * (members - 1))
        crps = (apart - truth).abs().mean(0) - differences
        terms = torch.stack([variance, error, crps, true, true.square()])
        # (5, N, C): images are kept apart, since only they are independent of each other.
        self._terms.append(terms.double().mean((3, 4)))

    def row(self, system: str, level: int, band: str, channels: slice) -> Diversity:
        """Return what some channels come to.

        Args:
            system: Its name.
            level: Level of the details.
            band: The name of the band that the channels are.
            channels: Which.

        Raises:
            ValueError: If the true details are all the same.
        """
        terms = torch.cat(self._terms, dim=1)[:, :, channels]
        variance, error, crps, mean, square = terms.mean(1)
        power = float((square - mean.square()).mean())
        if power <= 0:
            raise ValueError(
                f"the true details of level {level}, {band}, are constant: use images that vary"
            )
        unit = math.sqrt(power)
        # Few bands may leave an estimate below 0.
        error_power = max(float(error.mean()), 0.0)
        return Diversity(
            system,
            level,
            band,
            unit,
            math.sqrt(float(variance.mean())) / unit,
            math.sqrt(error_power) / unit,
            float(crps.mean()) / unit,
            _ratio_error(*terms[:2].mean(2)),
        )


def _ratio_error(variance: Tensor, error: Tensor) -> float:
    """Return the standard error of a spread over an error, linearised.

    Args:
        variance: Variance of each image's members, ``(N,)``.
        error: Squared, of the expectation of its members, ``(N,)``.
    """
    mean_variance, mean_error = float(variance.mean()), float(error.mean())
    if mean_variance == 0:
        return 0.0
    if mean_error <= 0:
        return math.nan
    share = variance / mean_variance - error / mean_error
    ratio = math.sqrt(mean_variance / mean_error)
    return ratio / 2 * float(share.std()) / math.sqrt(len(share))
