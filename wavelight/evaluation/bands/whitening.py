"""How far a Gaussian fitted to images is from white noise: conditioning, not Gaussianity.

The measure of the hybrid's paper (arXiv 2411.09356, section 3.2.2 and equation 78).
"""

from collections.abc import Callable
from math import inf, log, log10, sqrt
from typing import NamedTuple

import scipy.fft
import torch
from torch import Tensor

IMAGES_PER_DIMENSION = 10
"""With fewer images, a covariance's small eigenvalues say how many there were."""

_SINGULAR = 1e-12
_VALUES_AT_ONCE = 2**22


class Whitening(NamedTuple):
    """How far N(mu, S), fitted to images, is from N(0, I)."""

    log10_condition: float
    """Condition number of S, its largest by its smallest eigenvalue; infinite if S is singular."""

    kl: float
    """KL(N(0, I) || N(mu, S)) / d in nats: 1/2 [tr S^-1 + mu^T S^-1 mu - d + log det S] / d."""

    kl_unit: float
    """The same after all was divided by sqrt(tr S / d), which leaves the shape of the spectrum and the mean."""

    estimate: str
    """How S was estimated: sample covariance, Fourier spectrum or cosine spectrum."""


def whiten_by_covariance(fields: Tensor) -> Whitening | None:
    """Measure fields by the sample covariance of all of their values, which assumes nothing.

    The KL is free of the bias that few images bring, if they are Gaussian: E S^-1 and E log det S of
    a Wishart matrix, and the variance of the mean are taken into account. The condition number is
    that of the estimate, at least that of white noise: :func:`condition_floor`.

    Args:
        fields: ``(N, C, H, W)``.

    Returns:
        None where there are fewer than 10 images for each of the C H W dimensions.
    """
    vectors = fields.flatten(1).double()
    images, dimension = vectors.shape
    if images < IMAGES_PER_DIMENSION * dimension:
        return None
    free = images - 1
    mean = vectors.mean(0)
    vectors = vectors - mean
    values, axes = torch.linalg.eigh(vectors.T @ vectors / free)
    if _singular(values):
        return Whitening(inf, inf, inf, "sample covariance")
    unbias = (free - dimension - 1) / free
    freedoms = (free - torch.arange(dimension, dtype=torch.float64)) / 2
    log_bias = (torch.digamma(freedoms) - log(free / 2)).sum()
    inverse = unbias * (1 / values).sum()
    distance = unbias * ((mean @ axes).square() / values).sum() - dimension / images
    return _whitening(values, inverse, distance, values.log().sum() - log_bias, "sample covariance")


def whiten_by_spectrum(fields: Tensor) -> Whitening:
    """Measure fields by their spectrum, which takes them for stationary and so needs few images.

    The covariance is taken to have one C x C block for each frequency: of the Fourier transform,
    exact for periodic stationary fields, or of the cosine transform (DCT-II), which pictures with
    borders are nearer to. It is the transform under which the images are likelier, by the sum of log
    det of the blocks. Where the covariance has more to it than blocks, its condition number is
    larger than the one returned.

    Args:
        fields: ``(N, C, H, W)``.
    """
    best, smallest = None, inf
    for name, transform in (("cosine spectrum", _cosine), ("Fourier spectrum", _fourier)):
        mean, blocks = _blocks(fields, transform)
        values, axes = torch.linalg.eigh(blocks)
        if _singular(values):
            return Whitening(inf, inf, inf, name)
        log_det = values.log().sum()
        if log_det < smallest:
            smallest = float(log_det)
            along = (axes.mH @ mean[..., None])[..., 0].abs().square()
            distance = (along / values).sum()
            best = _whitening(values, (1 / values).sum(), distance, log_det, name)
    if best is None:
        raise ValueError("the fields hold NaN or infinite values")
    return best


def condition_floor(images: int, dimension: int) -> float:
    """Return log10 of the condition number that the sample covariance of white noise has (Marchenko, Pastur 1967).

    Args:
        images: How many.
        dimension: Dimension of an image, less than their number.
    """
    ratio = sqrt(dimension / images)
    return 2 * log10((1 + ratio) / (1 - ratio))


def _singular(values: Tensor) -> bool:
    return bool(values.min() <= _SINGULAR * values.max())


def _whitening(
    values: Tensor, inverse: Tensor, distance: Tensor, log_det: Tensor, estimate: str
) -> Whitening:
    """Put together eigenvalues, tr S^-1, mu^T S^-1 mu and log det S."""
    dimension = values.numel()
    scale = values.mean()
    kl = (inverse + distance - dimension + log_det) / 2 / dimension
    unit = (scale * inverse + distance - dimension + log_det - dimension * scale.log()) / 2
    condition = log10(values.max() / values.min())
    return Whitening(condition, float(kl), float(unit / dimension), estimate)


def _blocks(fields: Tensor, transform: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """Return the mean ``(H, W, C)`` and the covariance ``(H, W, C, C)`` of each frequency's channels."""
    total, products = torch.zeros(()), torch.zeros(())
    for batch in fields.split(max(1, _VALUES_AT_ONCE // fields[0].numel())):
        waves = transform(batch.double()).permute(2, 3, 1, 0)  # (H, W, C, N)
        total = total + waves.sum(-1)
        products = products + waves @ waves.mH
    mean = total / len(fields)
    return mean, products / len(fields) - mean[..., None] * mean[..., None, :].conj()


def _fourier(fields: Tensor) -> Tensor:
    return torch.fft.fft2(fields, norm="ortho")


def _cosine(fields: Tensor) -> Tensor:
    return torch.from_numpy(scipy.fft.dctn(fields.numpy(), axes=(-2, -1), norm="ortho"))
