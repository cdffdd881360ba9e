"""Metrics by other means: a reference implementation, and values fed in parts."""

import numpy as np
from scipy import linalg

from wavelight.metrics import Gaussian, PrecisionRecall


def by_scipy(first: Gaussian, second: Gaussian) -> float:
    (m1, s1), (m2, s2) = [(g.mean.numpy(), g.covariance.numpy()) for g in (first, second)]
    root = linalg.sqrtm(s1 @ s2)
    return float(((m1 - m2) ** 2).sum() + np.trace(s1 + s2 - 2 * root.real))


def measure(generated, real, neighbours=3):
    metric = PrecisionRecall(generated.shape[1], neighbours)
    for part in generated.split(17):
        metric.update(part, real=False)
    for part in real.split(23):
        metric.update(part, real=True)
    values = metric.compute()
    return float(values["precision"]), float(values["recall"])
