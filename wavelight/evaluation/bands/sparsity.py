"""How sparse values are, whatever their variance: how much of what they are lies in how few of them."""

import torch
from torch import Tensor

from wavelight.evaluation.bands.histogram import standardise


def hoyer(values: Tensor, weights: Tensor) -> Tensor:
    """Return 1 - E|z| / sqrt(E z^2): 0 if all are of one size, 1 if almost all are 0; a Gaussian has 0.202.

    Hoyer's measure (2004, «Non-negative matrix factorization with sparseness constraints») in the limit
    of many values, where it does not depend on their number.

    Args:
        values: ``(V,)``.
        weights: How often each counts, ``(..., V)``.

    Returns:
        ``(...)`` in [0, 1].
    """
    z, shares = standardise(values, weights)
    return 1 - (shares * z.abs()).sum(-1)


def gini(values: Tensor, weights: Tensor) -> Tensor:
    """Return the Gini index of the magnitudes: 0 if all are equal, 1 if one has all; a Gaussian has 0.414.

    Hurley and Rickard (2009, «Comparing measures of sparsity») compared measures: this is the one
    with all the properties that a measure of sparsity should have.

    Args:
        values: ``(V,)``.
        weights: How often each counts, ``(..., V)``.

    Returns:
        ``(...)`` in [0, 1].
    """
    z, shares = standardise(values, weights)
    magnitudes, order = z.abs().sort(dim=-1)
    shares = shares.gather(-1, order)
    mass = (shares * magnitudes).cumsum(-1)
    before = torch.nn.functional.pad(mass[..., :-1], (1, 0))
    return 1 - (shares * (before + mass)).sum(-1) / mass[..., -1]


def small_share(values: Tensor, weights: Tensor, threshold: float = 0.1) -> Tensor:
    """Return the share of values nearer to their mean than a part of their std; a Gaussian has 0.080 at 0.1.

    Args:
        values: ``(V,)``.
        weights: How often each counts, ``(..., V)``.
        threshold: That part.

    Returns:
        ``(...)`` in [0, 1].
    """
    z, shares = standardise(values, weights)
    return (shares * (z.abs() < threshold)).sum(-1)
