"""How p(image) is split into factors p(target | condition), and how each band is scaled."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from typing_extensions import override

from wavelight.wavelets import (
    DETAIL_BANDS,
    BandOrder,
    BandStatistics,
    LevelStatistics,
    analysis,
    filter_length,
    synthesis,
)

Draw = Callable[[int, Tensor | None], Tensor]
"""Draws the target of a factor, given its index and its condition."""

Shape = tuple[int, int, int]
"""Channels, height and width."""


class Factor(NamedTuple):
    """A tensor to generate, and the tensor of the same resolution it is generated given."""

    target: Tensor
    condition: Tensor | None


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
            statistics: Of the band over the training set; None where they are not known yet.
        """


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


class ScaledBand(nn.Module):
    """The numbers that scale one band, kept in the checkpoint so that sampling needs no data."""

    mean: Tensor
    scale: Tensor

    def __init__(self, scaling: BandScaling, level: int, channels: int) -> None:
        super().__init__()
        self.scaling = scaling
        self.level = level
        self.channels = channels
        mean, scale = scaling.mean_and_scale(level, channels, None)
        self.register_buffer("mean", mean.reshape(-1, 1, 1))
        self.register_buffer("scale", scale.reshape(-1, 1, 1))

    def fit(self, statistics: BandStatistics) -> None:
        """Choose the numbers from the statistics of the training set.

        Raises:
            ValueError: If a channel is constant, so that nothing can scale it.
        """
        mean, scale = self.scaling.mean_and_scale(self.level, self.channels, statistics)
        if not (scale > 0).all():
            raise ValueError(
                f"a band of level {self.level} is constant over the training set and cannot be scaled"
            )
        self.mean.copy_(mean.reshape(-1, 1, 1))
        self.scale.copy_(scale.reshape(-1, 1, 1))

    def forward(self, band: Tensor) -> Tensor:
        """Bring a band ``(N, C, H, W)`` to the networks' range."""
        return (band - self.mean) / self.scale

    def inverse(self, band: Tensor) -> Tensor:
        """Bring a band back to the range of the transform."""
        return band * self.scale + self.mean


class Factorization(nn.Module, ABC):
    """Splits images into factors, and builds images from factors drawn one after the other."""

    wavelet: str = "haar"
    levels: int = 0

    @abstractmethod
    def target_shapes(self, image: Shape) -> list[Shape]:
        """Return the shape of each factor's target, in the order in which they are drawn.

        Args:
            image: Channels, height and width of the images.

        Raises:
            ValueError: If images of this shape cannot be split so.
        """

    @abstractmethod
    def encode(self, image: Tensor) -> list[Factor]:
        """Split images ``(N, C, H, W)`` into factors, in the order in which they are drawn."""

    @abstractmethod
    def decode(self, draw: Draw) -> Tensor:
        """Build images, calling ``draw(index, condition)`` for the target of each factor."""

    def needs_statistics(self) -> bool:
        """Tell whether :meth:`fit` must be called before training."""
        return any(band.scaling.needs_statistics for band in self._bands())

    def fit(self, statistics: list[LevelStatistics]) -> None:
        """Choose the scale of each band.

        Args:
            statistics: Of the levels 0 (pixels) to :attr:`levels`, over the training set.
        """

    def _bands(self) -> list[ScaledBand]:
        return [module for module in self.modules() if isinstance(module, ScaledBand)]


class Pixels(Factorization):
    """One factor: the image itself."""

    @override
    def target_shapes(self, image: Shape) -> list[Shape]:
        return [image]

    @override
    def encode(self, image: Tensor) -> list[Factor]:
        return [Factor(image, None)]

    @override
    def decode(self, draw: Draw) -> Tensor:
        return draw(0, None)


class Subbands(Factorization):
    """One factor: the four bands of one wavelet level as channels, LL first (Phung et al., 2023).

    Args:
        wavelet: The wavelet, by PyWavelets' name.
        order: The order of the detail bands behind LL.
        scaling: How bands are scaled; ``Half`` as published.
        channels: The channels of the images.
    """

    levels = 1

    def __init__(
        self,
        wavelet: str = "haar",
        order: BandOrder = BandOrder.PYTORCH_WAVELETS,
        scaling: BandScaling | None = None,
        channels: int = 3,
    ) -> None:
        super().__init__()
        filter_length(wavelet)
        self.wavelet = wavelet
        self.order = order
        scaling = scaling or Half()
        self.coarse = ScaledBand(scaling, level=1, channels=channels)
        self.details = ScaledBand(scaling, level=1, channels=DETAIL_BANDS * channels)

    @override
    def target_shapes(self, image: Shape) -> list[Shape]:
        channels, height, width = image
        _check_divisible(height, width, levels=1)
        return [((1 + DETAIL_BANDS) * channels, height // 2, width // 2)]

    @override
    def encode(self, image: Tensor) -> list[Factor]:
        coarse, details = analysis(image, self.wavelet)
        details = self.order.arrange(self.details(details))
        return [Factor(torch.cat([self.coarse(coarse), details], dim=1), None)]

    @override
    def decode(self, draw: Draw) -> Tensor:
        bands = draw(0, None)
        channels = bands.shape[1] // (1 + DETAIL_BANDS)
        coarse, details = bands.split([channels, DETAIL_BANDS * channels], dim=1)
        details = self.details.inverse(self.order.arrange(details))
        return synthesis(self.coarse.inverse(coarse), details, self.wavelet)

    @override
    def fit(self, statistics: list[LevelStatistics]) -> None:
        self.coarse.fit(statistics[1].coarse)
        self.details.fit(statistics[1].details)


class Pyramid(Factorization):
    """A factor for the coarsest band, and one for the details of each level given the band they refine.

    Args:
        levels: How often the image is halved.
        wavelet: The wavelet, by PyWavelets' name.
        scaling: How bands are scaled; standardised per channel unless said otherwise.
        channels: The channels of the images.

    Raises:
        ValueError: If there is no level.
    """

    def __init__(
        self,
        levels: int,
        wavelet: str = "haar",
        scaling: BandScaling | None = None,
        channels: int = 3,
    ) -> None:
        super().__init__()
        if levels < 1:
            raise ValueError(f"a pyramid needs at least 1 level, not {levels}")
        filter_length(wavelet)
        self.levels = levels
        self.wavelet = wavelet
        scaling = scaling or PerChannel()
        each = range(1, levels + 1)
        self.coarse = nn.ModuleList(ScaledBand(scaling, level, channels) for level in each)
        self.details = nn.ModuleList(
            ScaledBand(scaling, level, DETAIL_BANDS * channels) for level in each
        )

    @override
    def target_shapes(self, image: Shape) -> list[Shape]:
        channels, height, width = image
        _check_divisible(height, width, self.levels)
        coarsest = (channels, height >> self.levels, width >> self.levels)
        details = [
            (DETAIL_BANDS * channels, height >> level, width >> level)
            for level in range(self.levels, 0, -1)
        ]
        return [coarsest, *details]

    @override
    def encode(self, image: Tensor) -> list[Factor]:
        coarse = image
        factors: list[Factor] = []
        for scale_coarse, scale_details in zip(self.coarse, self.details, strict=True):
            coarse, details = analysis(coarse, self.wavelet)
            factors.append(Factor(scale_details(details), scale_coarse(coarse)))
        return [Factor(scale_coarse(coarse), None), *reversed(factors)]

    @override
    def decode(self, draw: Draw) -> Tensor:
        condition = draw(0, None)
        for index, level in enumerate(range(self.levels, 0, -1), start=1):
            coarse, details = self._band(self.coarse, level), self._band(self.details, level)
            image = synthesis(
                coarse.inverse(condition),
                details.inverse(draw(index, condition)),
                self.wavelet,
            )
            condition = self._band(self.coarse, level - 1)(image) if level > 1 else image
        return condition

    @override
    def fit(self, statistics: list[LevelStatistics]) -> None:
        for level in range(1, self.levels + 1):
            self._band(self.coarse, level).fit(statistics[level].coarse)
            self._band(self.details, level).fit(statistics[level].details)

    @staticmethod
    def _band(bands: nn.ModuleList, level: int) -> ScaledBand:
        band = bands[level - 1]
        assert isinstance(band, ScaledBand)
        return band


def _check_divisible(height: int, width: int, levels: int) -> None:
    if height % 2**levels or width % 2**levels:
        size = height if height == width else f"{height}x{width}"
        raise ValueError(f"image_size {size} is not divisible by 2**levels = {2**levels}")
