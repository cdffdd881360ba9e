"""How close generated physical fields are to real ones: by their power spectra and their values' histograms."""

from typing import NamedTuple

import torch
from torch import Tensor
from typing_extensions import override

from wavelight.metrics.base import ImageMetric
from wavelight.metrics.sums import SumMetric


class RadialSpectrum(NamedTuple):
    """A power spectrum averaged over rings of frequencies, ``(R,)`` each."""

    frequency: Tensor
    """Whole waves across the image, 0 to R - 1: the middle of each ring, which is one wide."""
    power: Tensor


def power_spectrum(fields: Tensor) -> Tensor:
    """Estimate P(w) = E |x^(w)|^2 / (H W), whose mean over frequencies is E x^2.

    For a stationary periodic field of mean 0 these are the eigenvalues of its covariance. No mean is
    subtracted: P(0) is the mean square of the whole image's sum.

    Args:
        fields: ``(N, C, H, W)`` floats, N at least 1.

    Returns:
        ``(C, H, W)`` float64, in the order of ``torch.fft.fft2``.

    Raises:
        ValueError: If there are no fields.
    """
    _check_some(fields)
    return _powers(fields).mean(0)


def radial_spectrum(spectrum: Tensor) -> RadialSpectrum:
    """Average a power spectrum over channels and over rings of equal frequency.

    Args:
        spectrum: ``(C, L, L)``, in the order of ``torch.fft.fft2``.

    Returns:
        The rings up to the highest frequency along an axis, L // 2; the corners are left out.

    Raises:
        ValueError: If the spectrum is not square.
    """
    height, width = spectrum.shape[-2:]
    if height != width:
        raise ValueError(f"a radial spectrum needs square images, got {height}x{width}")
    waves = torch.fft.fftfreq(width, 1 / width, dtype=torch.float64, device=spectrum.device)
    ring = torch.hypot(waves[:, None], waves).round().long().flatten()
    power = spectrum.double().mean(0).flatten()
    rings = width // 2 + 1
    means = ring.bincount(power) / ring.bincount()
    frequency = torch.arange(rings, dtype=torch.float64, device=spectrum.device)
    return RadialSpectrum(frequency, means[:rings])


def spectrum_distance(first: Tensor, second: Tensor) -> Tensor:
    """Return D1 = ||P - P^||^2, the sum over channels and frequencies (Guth et al. 2022, phi^4).

    It grows with the size of the image: to compare sizes, divide by ``spectrum_distance(first,
    zeros)``.

    Args:
        first: ``(C, H, W)``.
        second: The same.

    Returns:
        A float64 scalar.
    """
    return (first.double() - second.double()).square().sum()


def marginal_histogram(fields: Tensor, low: float, high: float, bins: int) -> Tensor:
    """Return the share of all values that lies in each bin.

    Args:
        fields: Floats of any shape, at least one.
        low: The lower end of the first of the equal bins.
        high: The upper end of the last of them.
        bins: Number of bins.

    Returns:
        ``(bins + 2,)`` float64 of sum 1: the first entry is the share below ``low``, the last the share at
        ``high`` or above, or not a number.

    Raises:
        ValueError: If there are no values or no bins.
    """
    _check_some(fields)
    counts = _counts(fields, low, high, bins)
    return counts / counts.sum()


def total_variation(first: Tensor, second: Tensor) -> Tensor:
    """Return D2 = 1/2 sum |p - q| of two histograms, in [0, 1] (Guth et al. 2022, phi^4).

    Args:
        first: ``(K,)``, of sum 1.
        second: The same.

    Returns:
        A float64 scalar.
    """
    return (first.double() - second.double()).abs().sum() / 2


def binder_cumulant(fields: Tensor) -> Tensor:
    """Return U4 = 1 - <m^4> / (3 <m^2>^2) of the magnetisation m, the mean of a field (Binder 1981).

    2/3 where m has one magnitude in all fields, 0 where it is normal; about 0.61 at the critical point
    of a large square lattice with a scalar order parameter.

    Args:
        fields: ``(N, 1, H, W)`` floats, N at least 1.

    Returns:
        A float64 scalar.

    Raises:
        ValueError: If there are no fields.
    """
    _check_some(fields)
    squares = fields.double().flatten(1).mean(1).square()
    return 1 - squares.square().mean() / (3 * squares.mean().square())


class FieldDistance(SumMetric, ImageMetric):
    """The two distances of generated fields to real ones: of their spectra, and of their values' histograms.

    Guth et al. 2022 (phi^4). Unlike pictures, fields are floats that need no bounds. ``spectrum`` is the
    squared distance of the power spectra as a share of the real one's square, so that sizes compare;
    ``marginal`` is the total variation of the histograms of all values. Both are 0 for equal data,
    and fall with the number of images to no less than what held-out real fields of the same number give.

    Args:
        low: The lower end of the histogram.
        high: The upper end of the histogram; values outside count in two more bins.
        bins: Number of bins between them.

    Raises:
        ValueError: If ``bins`` is below 1, or ``low`` is not below ``high``.
    """

    takes_floats = True

    def __init__(self, low: float = -2.5, high: float = 2.5, bins: int = 100) -> None:
        _check_bins(low, high, bins)
        super().__init__("power", "values_in_bin")
        self.low = low
        self.high = high
        self.bins = bins

    @property
    @override
    def identity(self) -> str:
        return f"power spectrum, and histogram of {self.bins} bins in [{self.low}, {self.high})"

    @override
    def update(self, images: Tensor, real: bool) -> None:
        """Add fields to the sums.

        Args:
            images: ``(N, C, H, W)`` floats.
            real: Whether they are real, or generated.

        Raises:
            ValueError: If the fields are bytes, or of another size than before.
        """
        if not images.is_floating_point():
            raise ValueError(
                f"fields must be floats, got {images.dtype}; for pictures as bytes take another metric"
            )
        power = _powers(images).sum(0)
        in_bin = _counts(images, self.low, self.high, self.bins)
        self.add(real, len(images), power=power, values_in_bin=in_bin)

    @override
    def compute(self) -> dict[str, Tensor]:
        """Return ``spectrum`` and ``marginal``, float64 scalars. Collective.

        Raises:
            ValueError: If there are no real or no generated fields.
        """
        both = self.totals()
        generated, real = (side["power"] / side["count"] for side in both)
        shares = (side["values_in_bin"] / side["values_in_bin"].sum() for side in both)
        return {
            "spectrum": spectrum_distance(real, generated) / real.square().sum(),
            "marginal": total_variation(*shares),
        }


def _powers(fields: Tensor) -> Tensor:
    return torch.fft.fft2(fields.double(), norm="ortho").abs().square()


def _counts(fields: Tensor, low: float, high: float, bins: int) -> Tensor:
    _check_bins(low, high, bins)
    edges = torch.linspace(low, high, bins + 1, dtype=torch.float64, device=fields.device)
    places = torch.bucketize(fields.double().flatten(), edges, right=True)
    return places.bincount(minlength=bins + 2).double()


def _check_some(fields: Tensor) -> None:
    if not fields.numel():
        raise ValueError("a field metric needs at least one field, got none")


def _check_bins(low: float, high: float, bins: int) -> None:
    if bins < 1 or not low < high:
        raise ValueError(
            f"bins must be at least 1 and low below high, got {bins} bins from {low} to {high}"
        )
