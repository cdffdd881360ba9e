"""Metrics by other means: reference implementations, plain loops in float64, and values fed in parts."""

import numpy as np
import torch
from scipy import linalg

from wavelight.metrics import Gaussian, KeptFeatures


def by_scipy(first: Gaussian, second: Gaussian) -> float:
    (m1, s1), (m2, s2) = [(g.mean.numpy(), g.covariance.numpy()) for g in (first, second)]
    root = linalg.sqrtm(s1 @ s2)
    return float(((m1 - m2) ** 2).sum() + np.trace(s1 + s2 - 2 * root.real))


def measured(measure, generated, real=None):
    """Return the values of a measure, of features fed in parts."""
    metric = KeptFeatures(generated.shape[1], [measure])
    for part in generated.split(17):
        metric.update(part, real=False)
    for part in () if real is None else real.split(23):
        metric.update(part, real=True)
    return {name: float(value) for name, value in metric.values().items()}


def neighbours_by_definition(generated, real, k=3, density_k=5):
    """Kynkäänniemi et al. (2019), equations 1 and 2; Naeem et al. (2020), equations 4 and 5, in float64."""
    generated, real = generated.double(), real.double()

    def radii(features, neighbours):
        own = (features[:, None] - features).norm(dim=2)
        return own.sort(dim=1).values[:, neighbours]

    across = (generated[:, None] - real).norm(dim=2)
    inside = across < radii(real, density_k)
    return {
        "precision": float((across <= radii(real, k)).any(1).double().mean()),
        "recall": float((across <= radii(generated, k)[:, None]).any(0).double().mean()),
        "density": float(inside.double().sum() / (density_k * len(generated))),
        "coverage": float(inside.any(0).double().mean()),
    }


def kid_by_pairs(real, generated):
    """Bińkowski et al. (2018): the unbiased estimate, pair by pair, in float64."""

    def kernel(x, y):
        return float(((x.double() * y.double()).sum() / len(x) + 1) ** 3)

    def mean(pairs):
        return float(np.mean([kernel(x, y) for x, y in pairs]))

    def within(side):
        return mean((x, y) for i, x in enumerate(side) for j, y in enumerate(side) if i != j)

    return within(real) + within(generated) - 2 * mean((x, y) for x in real for y in generated)


def in_any_order(features, seed):
    return features[torch.randperm(len(features), generator=torch.Generator().manual_seed(seed))]
