"""Coefficients as counts per image, from which any measure of any resampled set of images is a product away."""

import torch
from torch import Tensor

# Bins are equal in asinh(value / 0.05): 0.001 wide at 0, and 2 % of the value in the tails.
_KNEE = 0.05
_HALF = 512
_STEP = 10.6 / _HALF  # up to 1000 standard deviations

BIN_VALUES = _KNEE * torch.sinh(_STEP * torch.arange(-_HALF, _HALF + 1, dtype=torch.float64))
"""The middles of the bins, ``(V,)`` ascending, in standard deviations; one of them is 0."""


def bin_counts(values: Tensor) -> Tensor:
    """Count the coefficients of each image in the bins.

    Args:
        values: ``(N, ...)``, standardised; beyond 1000 standard deviations they count as 1000.

    Returns:
        ``(N, V)`` float64.
    """
    images, bins = len(values), len(BIN_VALUES)
    places = (values.flatten(1) / _KNEE).asinh_().div_(_STEP).round_()
    places = places.clamp_(-_HALF, _HALF).long().add_(_HALF)
    places += bins * torch.arange(images)[:, None]
    return places.flatten().bincount(minlength=images * bins).view(images, bins).double()


def resample(images: int, replicates: int, generator: torch.Generator) -> Tensor:
    """Return how often each image counts: once, and then as in bootstrap samples of the images (Efron 1979).

    Args:
        images: How many there are.
        replicates: How many samples to sample.
        generator: For the samples.

    Returns:
        ``(1 + replicates, images)`` float64; the first row is all ones.
    """
    chosen = torch.randint(images, (replicates, images), generator=generator)
    counts = torch.zeros(1 + replicates, images, dtype=torch.float64)
    counts[0] = 1
    counts[1:].scatter_add_(1, chosen, torch.ones_like(chosen, dtype=torch.float64))
    return counts


def standardise(values: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Bring weighted values to mean 0 and variance 1.

    Args:
        values: ``(V,)``.
        weights: ``(..., V)``, not negative.

    Returns:
        Values ``(..., V)``, and weights ``(..., V)`` that sum to 1.
    """
    shares = weights / weights.sum(-1, keepdim=True)
    centred = values - (shares * values).sum(-1, keepdim=True)
    return centred / (shares * centred.square()).sum(-1, keepdim=True).sqrt(), shares
