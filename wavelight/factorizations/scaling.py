"""The scaling of each band to the range that networks like."""

from abc import ABC, abstractmethod
from contextlib import nullcontext
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from wavelight.wavelets import (
    BandStatistics,
    filter_length,
)

LEAST_POWER = 1e-5
"""Least eigenvalue of a correlation matrix that float32 statistics tell from 0."""

HAAR_TAPS = 2
"""Length of Haar's filters, and of no other wavelet's."""


class BandScaling(ABC):
    """Chooses the numbers that bring a band to the range that networks like: (band - mean) / scale."""

    needs_statistics = False

    @abstractmethod
    def mean_and_scale(
        self, level: int, channels: int, statistics: BandStatistics | None
    ) -> tuple[Tensor, Tensor]:
        """Return mean and scale, ``(channels,)`` each.

        Args:
            level: How often the image was halved to give this band.
            channels: The channels of the band.
            statistics: Statistics of the band over the training set; None where they are not known yet.
        """

    def mixing(self, channels: int, statistics: BandStatistics | None) -> Tensor | None:
        """Return the matrix ``(channels, channels)`` that makes standardised channels of what networks see, if any.

        Args:
            channels: The channels of the band.
            statistics: Statistics of the band over the training set; None where they are not known yet.
        """
        return None

    def bounds(self, wavelet: str) -> bool:
        """Tell whether the scaled bands of images in [-1, 1] lie there, too, whatever the level.

        Args:
            wavelet: The wavelet of the bands, by PyWavelets' name.
        """
        return False


class Unscaled(BandScaling):
    """Leaves bands as the orthonormal transform gives them."""

    @override
    def mean_and_scale(
        self, level: int, channels: int, statistics: BandStatistics | None
    ) -> tuple[Tensor, Tensor]:
        return torch.zeros(channels), torch.ones(channels)


class Half(BandScaling):
    """Divides by 2 per level, which keeps the Haar bands of images in [-1, 1] there (Phung et al., 2023)."""

    @override
    def mean_and_scale(
        self, level: int, channels: int, statistics: BandStatistics | None
    ) -> tuple[Tensor, Tensor]:
        return torch.zeros(channels), torch.full((channels,), 2.0**level)

    @override
    def bounds(self, wavelet: str) -> bool:
        # Longer filters weigh pixels with more than 2 per level in all.
        return filter_length(wavelet) == HAAR_TAPS


class Peak(BandScaling):
    """Divides each channel by the largest magnitude it has over the training set: in [-1, 1] for any wavelet."""

    needs_statistics = True

    @override
    def mean_and_scale(
        self, level: int, channels: int, statistics: BandStatistics | None
    ) -> tuple[Tensor, Tensor]:
        if statistics is None:
            return torch.zeros(channels), torch.ones(channels)
        return torch.zeros(channels), statistics.peak.float()

    @override
    def bounds(self, wavelet: str) -> bool:
        return True


class Scalar(BandScaling):
    """Divides a whole band by one number, the root mean square of it over the training set (Guth et al., 2022)."""

    needs_statistics = True

    @override
    def mean_and_scale(
        self, level: int, channels: int, statistics: BandStatistics | None
    ) -> tuple[Tensor, Tensor]:
        if statistics is None:
            return torch.zeros(channels), torch.ones(channels)
        power = (statistics.mean.square() + statistics.std.square()).mean()
        return torch.zeros(channels), power.sqrt().expand(channels).float().clone()


class PerChannel(BandScaling):
    """Standardises each channel of a band: mean 0 and standard deviation 1 over the training set."""

    needs_statistics = True

    @override
    def mean_and_scale(
        self, level: int, channels: int, statistics: BandStatistics | None
    ) -> tuple[Tensor, Tensor]:
        if statistics is None:
            return torch.zeros(channels), torch.ones(channels)
        return statistics.mean.float(), statistics.std.float()


class Eigenbasis(PerChannel):
    """Makes the channels of a band white: uncorrelated at a position, with mean 0 and standard deviation 1.

    Standardised channels have a covariance V diag(lambda) V^T over the training set; networks see diag(lambda)^(-1/2)
    V^T of them, principal components of which each has the same power. So white noise of the networks' range has the
    band's colours, as it is.
    """

    @override
    def mixing(self, channels: int, statistics: BandStatistics | None) -> Tensor:
        if statistics is None:
            return torch.eye(channels)
        std = statistics.std.double()
        power, basis = torch.linalg.eigh(statistics.covariance.double() / std.outer(std))
        if not power[0] > LEAST_POWER:
            raise ValueError(
                "scaling Eigenbasis needs channels of which none follows from the others, got a band whose correlation "
                f"matrix has the eigenvalue {float(power[0]):.1e}: take PerChannel, or --data.channels 1 for grey ones"
            )
        return (basis * power.sqrt()).float()


class ScaledBand(nn.Module):
    """The numbers that scale one band, kept in the checkpoint so that sampling needs no data."""

    mean: Tensor
    scale: Tensor
    mixing: Tensor | None
    """L ``(C, C)`` of orthogonal columns, where a scaling mixes channels: standardised ones are L times white ones."""

    def __init__(self, scaling: BandScaling, level: int, channels: int) -> None:
        super().__init__()
        self.scaling = scaling
        self.level = level
        self.channels = channels
        mean, scale = scaling.mean_and_scale(level, channels, None)
        self.register_buffer("mean", mean.reshape(-1, 1, 1))
        self.register_buffer("scale", scale.reshape(-1, 1, 1))
        self.register_buffer("mixing", scaling.mixing(channels, None))

    def fit(self, statistics: BandStatistics) -> None:
        """Choose the numbers from the statistics of the training set.

        Raises:
            ValueError: If a channel is constant, so that nothing can scale it.
        """
        mean, scale = self.scaling.mean_and_scale(self.level, self.channels, statistics)
        if not (scale > 0).all():
            raise ValueError(
                f"a band of level {self.level} is constant over the training set and cannot be "
                "scaled: use Unscaled or Half, or other data"
            )
        self.mean.copy_(mean.reshape(-1, 1, 1))
        self.scale.copy_(scale.reshape(-1, 1, 1))
        if self.mixing is not None:
            self.mixing.copy_(cast(Tensor, self.scaling.mixing(self.channels, statistics)))

    def forward(self, band: Tensor) -> Tensor:
        """Bring a band ``(..., C, H, W)`` to the networks' range."""
        scaled = (band - self.mean) / self.scale
        if self.mixing is None:
            return scaled
        return mixed(self.mixing.T / self.powers()[:, None], scaled)

    def inverse(self, band: Tensor) -> Tensor:
        """Bring a band back to the range of the transform."""
        return self.unmixed(band) * self.scale + self.mean

    def unmixed(self, band: Tensor) -> Tensor:
        """Bring a band from the networks' range to channels that are scaled each by itself."""
        return band if self.mixing is None else mixed(self.mixing, band)

    def powers(self) -> Tensor:
        """Return the power of each channel that networks see in the standardised channels, ``(C,)``: its eigenvalue."""
        if self.mixing is None:
            return torch.ones_like(self.scale.flatten())
        return self.mixing.square().sum(0)


def mixed(matrix: Tensor, band: Tensor) -> Tensor:
    """Multiply the channels of a band ``(..., C, H, W)`` at each position by a matrix ``(D, C)``, in float32."""
    device = band.device.type
    # Costs are counted on the meta device, which has no autocast.
    has_autocast = torch.amp.is_autocast_available(device)
    with torch.autocast(device, enabled=False) if has_autocast else nullcontext():
        images = band.float().reshape(-1, *band.shape[-3:])
        product = functional.conv2d(images, matrix[:, :, None, None].float())
        return product.reshape(*band.shape[:-3], *product.shape[1:])


def scaled_bands(scaling: BandScaling, levels: int, channels: int) -> nn.ModuleList:
    """Return a scaled band for each level, the finest first."""
    return nn.ModuleList(ScaledBand(scaling, level, channels) for level in range(1, levels + 1))


def band_at(bands: nn.ModuleList, level: int) -> ScaledBand:
    """Return the scaled band of a level, counted from 1."""
    band = bands[level - 1]
    assert isinstance(band, ScaledBand)
    return band
