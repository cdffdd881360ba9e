"""Proper scoring rules of an ensemble: least, on average, where the samples follow the law of the truth."""

import torch
from torch import Tensor


def fair_crps(samples: Tensor, true: Tensor) -> Tensor:
    """Return the continuous ranked probability score of each number, estimated without bias from a few samples.

    E|X - y| - E|X - X'| / 2 (Gneiting and Raftery, 2007, equation 21), whose second term is the mean over pairs of
    *different* samples (Ferro, 2014, "fair"): so its expectation, and with it what minimises it, does not depend
    on how many samples there are. It is in the unit of the numbers, and can be below 0 for one ensemble.

    Args:
        samples: ``(m, ...)``, m of at least 2.
        true: ``(...)``, the truth of each ensemble.

    Returns:
        ``(...)``.
    """
    return (samples - true).abs().mean(0) - _pairs(samples).abs().mean(0) / 2


def fair_energy_score(samples: Tensor, true: Tensor) -> Tensor:
    """Return the energy score of each vector, estimated without bias from a few samples.

    E|X - y| - E|X - X'| / 2 with Euclidean norms (Gneiting and Raftery, 2007, equation 22), and the second term over
    pairs of different samples. The norm is that of all numbers of a vector: what is small in it hardly counts.

    Args:
        samples: ``(m, ..., D)``, m of at least 2.
        true: ``(..., D)``.

    Returns:
        ``(...)``.
    """
    to_true = torch.linalg.vector_norm(samples - true, dim=-1).mean(0)
    return to_true - torch.linalg.vector_norm(_pairs(samples), dim=-1).mean(0) / 2


def _pairs(samples: Tensor) -> Tensor:
    """Return the differences of all pairs of different samples, ``(m (m - 1) / 2, ...)``."""
    first, second = torch.triu_indices(len(samples), len(samples), 1, device=samples.device)
    return samples[first] - samples[second]
