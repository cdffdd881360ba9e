"""How p(image) is split into factors p(target | condition), and how each band is scaled."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
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
            statistics: Of the band over the training set; None where they are not known yet.
        """

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


class Refinement(NamedTuple):
    """Builds the images that details complete, one level finer, from the true coarse band."""

    coarse: Tensor
    """``(N, C, H, W)``, of the resolution of the details; the coarse band as the transform gives it."""

    details: ScaledBand
    merge: Callable[[Tensor, Tensor], Tensor]
    """Builds images of the coarse band and unscaled details."""

    def __call__(self, target: Tensor) -> Tensor:
        """Build images one level finer; nothing is calculated before.

        Args:
            target: Details ``(N, 3C, H, W)``, or ``(N, C, H, W)`` of a Laplacian pyramid, true or
                drawn, scaled as networks see them.

        Returns:
            ``(N, C, 2H, 2W)``, or ``(N, C, H, W)`` of a Laplacian pyramid, pixels or the coarse band
            of the level below, as the transform gives it: with Haar in [-peak, peak].
        """
        return self.merge(self.coarse, self.details.inverse(target))

    @property
    def peak(self) -> int:
        """The largest magnitude of images in [-1, 1] there, of Haar and Laplacian pyramids; others may pass it."""
        return 2 ** (self.details.level - 1)


class Factor(NamedTuple):
    """A tensor to generate, and the tensor of the same resolution it is generated given."""

    target: Tensor
    condition: Tensor | None
    finer: Refinement | None = None
    """Tells what targets look like, where they are the details of a pyramid."""

    def part(self, start: int, stop: int) -> "Factor":
        """Return the factor of the images ``start`` to ``stop`` - 1 of this batch."""
        cut = slice(start, stop)
        return Factor(
            self.target[cut],
            None if self.condition is None else self.condition[cut],
            None if self.finer is None else self.finer._replace(coarse=self.finer.coarse[cut]),
        )


class Factorization(nn.Module, ABC):
    """Splits images into factors, and builds images from factors drawn one after the other."""

    wavelet: str = "haar"
    levels: int = 0

    @property
    def bands(self) -> str:
        """The name of the bands that :meth:`split` gives, under which their statistics are kept."""
        return self.wavelet

    def split(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Halve images once: what is measured at every level before :meth:`fit`.

        Args:
            image: ``(N, C, H, W)``, pixels or the coarse band of the level below.

        Returns:
            The coarse band ``(N, C, H/2, W/2)``, and unscaled details.
        """
        return analysis(image, self.wavelet)

    @abstractmethod
    def target_shapes(self, image: Shape) -> list[Shape]:
        """Return the shape of each factor's target, in the order in which they are drawn.

        Args:
            image: Channels, height and width of the images.

        Raises:
            ValueError: If images of this shape cannot be split so.
        """

    def condition_channels(self, image: Shape) -> list[int]:
        """Return the channels of each factor's condition, 0 where there is none.

        Args:
            image: Channels, height and width of the images.
        """
        return [0] * len(self.target_shapes(image))

    @abstractmethod
    def encode(self, image: Tensor) -> list[Factor]:
        """Split images ``(N, C, H, W)`` into factors, in the order in which they are drawn."""

    @abstractmethod
    def decode(self, draw: Draw) -> Tensor:
        """Build images, calling ``draw(index, condition)`` for the target of each factor."""

    def needs_statistics(self) -> bool:
        """Tell whether :meth:`fit` must be called before training."""
        return any(band.scaling.needs_statistics for band in self._bands())

    def bounded(self) -> bool:
        """Tell whether the targets of images in [-1, 1] lie there, too."""
        return all(band.scaling.bounds(self.wavelet) for band in self._bands())

    def fit(self, statistics: list[LevelStatistics]) -> None:
        """Choose the scale of each band.

        Args:
            statistics: Of the levels 0 (pixels) to :attr:`levels`, over the training set.
        """

    def _analyses(self, image: Tensor) -> "list[_Level]":
        """Split images, then their coarse band, and so on; the finest level comes first."""
        found: list[_Level] = []
        for _ in range(self.levels):
            found.append(_Level(*self.split(found[-1].coarse if found else image)))
        return found

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
    """One factor: all bands of a wavelet transform as channels, at the resolution of the coarsest.

    With one level these are the four bands LL, LH, HL, HH (Phung et al., 2023). With more, LL is
    split again and again; the LL of the last level comes first, then the details of the last level,
    those of the level before, and so on. Details of finer levels are brought to the coarsest
    resolution by turning blocks of pixels into channels, so that nothing is lost: ``4**levels`` times
    the image's channels at its side divided by ``2**levels``.

    Args:
        wavelet: The wavelet, by PyWavelets' name.
        order: The order of the detail bands of each level.
        scaling: How bands are scaled; ``Half`` as published.
        channels: The channels of the images.
        levels: How often the image is halved; once as published.

    Raises:
        ValueError: If there is no level, or no wavelet of this name.
    """

    def __init__(
        self,
        wavelet: str = "haar",
        order: BandOrder = BandOrder.PYTORCH_WAVELETS,
        scaling: BandScaling | None = None,
        channels: int = 3,
        levels: int = 1,
    ) -> None:
        super().__init__()
        _check_transform(wavelet, levels)
        self.wavelet = wavelet
        self.order = order
        self.levels = levels
        scaling = scaling or Half()
        self.coarse = ScaledBand(scaling, levels, channels)
        self.details = _scaled_bands(scaling, levels, DETAIL_BANDS * channels)

    @override
    def target_shapes(self, image: Shape) -> list[Shape]:
        channels, height, width = image
        _check_sides(height, width, self.wavelet, self.levels)
        return [(channels * 4**self.levels, height >> self.levels, width >> self.levels)]

    @override
    def encode(self, image: Tensor) -> list[Factor]:
        levels = self._analyses(image)
        bands = [self.coarse(levels[-1].coarse)]
        for level in range(self.levels, 0, -1):
            details = _band(self.details, level)(levels[level - 1].details)
            block = 2 ** (self.levels - level)
            bands.append(functional.pixel_unshuffle(self.order.arrange(details), block))
        return [Factor(torch.cat(bands, dim=1), None)]

    @override
    def decode(self, draw: Draw) -> Tensor:
        bands = draw(0, None)
        channels = bands.shape[1] // 4**self.levels
        sizes = [DETAIL_BANDS * channels * 4**finer for finer in range(self.levels)]
        coarse, *stacked = bands.split([channels, *sizes], dim=1)
        image = self.coarse.inverse(coarse)
        for finer, details in enumerate(stacked):
            details = self.order.arrange(functional.pixel_shuffle(details, 2**finer))
            scaled = _band(self.details, self.levels - finer)
            image = synthesis(image, scaled.inverse(details), self.wavelet)
        return image

    @override
    def fit(self, statistics: list[LevelStatistics]) -> None:
        self.coarse.fit(statistics[self.levels].coarse)
        for level in range(1, self.levels + 1):
            _band(self.details, level).fit(statistics[level].details)


class LevelByLevel(Factorization):
    """A factor for the coarsest band, and one for the details of each level given the band they refine.

    Args:
        levels: How often the image is halved.
        wavelet: The wavelet whose coarse bands these are, by PyWavelets' name.
        scaling: How bands are scaled; standardised per channel unless said otherwise.
        channels: The channels of the images.
        detail_channels: The channels of the details of a level.

    Raises:
        ValueError: If there is no level, or no wavelet of this name.
    """

    def __init__(
        self,
        levels: int,
        wavelet: str,
        scaling: BandScaling | None,
        channels: int,
        detail_channels: int,
    ) -> None:
        super().__init__()
        _check_transform(wavelet, levels)
        self.levels = levels
        self.wavelet = wavelet
        self.channels = channels
        scaling = scaling or PerChannel()
        self.coarse = _scaled_bands(scaling, levels, channels)
        self.details = _scaled_bands(scaling, levels, detail_channels)

    @abstractmethod
    def given(self, coarse: Tensor) -> Tensor:
        """Bring a coarse band ``(N, C, H, W)`` to the resolution of the details that refine it."""

    @abstractmethod
    def merge(self, given: Tensor, details: Tensor) -> Tensor:
        """Build images, or the coarse band of the level below; with :meth:`given` it undoes :meth:`split`.

        Args:
            given: The coarse band, as :meth:`given` brings it.
            details: Unscaled details of the same resolution.
        """

    @override
    def target_shapes(self, image: Shape) -> list[Shape]:
        channels, height, width = image
        _check_sides(height, width, self.wavelet, self.levels)
        if channels != self.channels:
            raise ValueError(
                f"the {type(self).__name__} is built for channels {self.channels}, but the images have channels "
                f"{channels}"
            )
        return [
            (channels, height >> self.levels, width >> self.levels),
            *[self._detail_shape(image, level) for level in range(self.levels, 0, -1)],
        ]

    @abstractmethod
    def _detail_shape(self, image: Shape, level: int) -> Shape: ...

    @override
    def condition_channels(self, image: Shape) -> list[int]:
        return [0, *[image[0]] * self.levels]

    @override
    def encode(self, image: Tensor) -> list[Factor]:
        levels = self._analyses(image)
        coarsest = _band(self.coarse, self.levels)(levels[-1].coarse)
        details = [self._details(level, bands) for level, bands in enumerate(levels, start=1)]
        return [Factor(coarsest, None), *reversed(details)]

    def _details(self, level: int, bands: "_Level") -> Factor:
        scaled, given = _band(self.details, level), self.given(bands.coarse)
        return Factor(
            scaled(bands.details),
            _band(self.coarse, level)(given),
            Refinement(given, scaled, self.merge),
        )

    @override
    def decode(self, draw: Draw) -> Tensor:
        coarse = draw(0, None)
        for index, level in enumerate(range(self.levels, 0, -1), start=1):
            condition = self.given(coarse)
            image = self.merge(
                _band(self.coarse, level).inverse(condition),
                _band(self.details, level).inverse(draw(index, condition)),
            )
            coarse = _band(self.coarse, level - 1)(image) if level > 1 else image
        return coarse

    @override
    def fit(self, statistics: list[LevelStatistics]) -> None:
        for level in range(1, self.levels + 1):
            _band(self.coarse, level).fit(statistics[level].coarse)
            _band(self.details, level).fit(statistics[level].details)


class Pyramid(LevelByLevel):
    """A wavelet's pyramid: a level's details are three bands, given the coarse band of their resolution.

    Args:
        levels: How often the image is halved.
        wavelet: The wavelet, by PyWavelets' name.
        scaling: How bands are scaled; standardised per channel unless said otherwise.
        channels: The channels of the images.

    Raises:
        ValueError: If there is no level, or no wavelet of this name.
    """

    def __init__(
        self,
        levels: int,
        wavelet: str = "haar",
        scaling: BandScaling | None = None,
        channels: int = 3,
    ) -> None:
        super().__init__(levels, wavelet, scaling, channels, DETAIL_BANDS * channels)

    @override
    def given(self, coarse: Tensor) -> Tensor:
        return coarse

    @override
    def merge(self, given: Tensor, details: Tensor) -> Tensor:
        return synthesis(given, details, self.wavelet)

    @override
    def _detail_shape(self, image: Shape, level: int) -> Shape:
        channels, height, width = image
        return DETAIL_BANDS * channels, height >> level, width >> level


class LaplacianPyramid(LevelByLevel):
    """A factor for the coarsest image, and one a level for what its enlargement lacks (Burt and Adelson, 1983).

    Images are halved by averages of four pixels, and enlarged bilinearly. A level's factor is the residual of an image
    to its enlarged coarser image, at the side and with the channels of the image, and its condition is that enlarged
    image. It is redundant: residuals and coarsest image are together about 4/3 as many numbers as the pixels. The
    averages of four numbers of a residual follow from its condition, which a model of it has to learn; decoding adds up
    whatever is drawn.

    Coarse images are kept at twice their averages a level, as Haar's coarse band, which they are: so scalings mean the
    same here, ``Half`` keeps everything in [-1, 1], and models of the coarsest band can be taken over from a Haar
    pyramid.

    Args:
        levels: How often the image is halved.
        scaling: How bands are scaled; standardised per channel unless said otherwise.
        channels: The channels of the images.

    Raises:
        ValueError: If there is no level.
    """

    def __init__(self, levels: int, scaling: BandScaling | None = None, channels: int = 3) -> None:
        super().__init__(levels, "haar", scaling, channels, channels)

    @property
    @override
    def bands(self) -> str:
        return "laplacian"

    @override
    def split(self, image: Tensor) -> tuple[Tensor, Tensor]:
        coarse = 2 * functional.avg_pool2d(image, 2)
        return coarse, image - self.given(coarse) / 2

    @override
    def given(self, coarse: Tensor) -> Tensor:
        return functional.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)

    @override
    def merge(self, given: Tensor, details: Tensor) -> Tensor:
        return given / 2 + details

    @override
    def _detail_shape(self, image: Shape, level: int) -> Shape:
        channels, height, width = image
        return channels, height >> (level - 1), width >> (level - 1)


class _Level(NamedTuple):
    """The bands of one level of a transform."""

    coarse: Tensor
    details: Tensor


def _scaled_bands(scaling: BandScaling, levels: int, channels: int) -> nn.ModuleList:
    return nn.ModuleList(ScaledBand(scaling, level, channels) for level in range(1, levels + 1))


def _band(bands: nn.ModuleList, level: int) -> ScaledBand:
    band = bands[level - 1]
    assert isinstance(band, ScaledBand)
    return band


def _check_transform(wavelet: str, levels: int) -> None:
    filter_length(wavelet)
    if levels < 1:
        raise ValueError(f"a wavelet transform needs at least 1 level, not {levels}")


def _check_sides(height: int, width: int, wavelet: str, levels: int) -> None:
    size = height if height == width else f"{height}x{width}"
    if height % 2**levels or width % 2**levels:
        raise ValueError(f"image_size {size} is not divisible by 2**levels = {2**levels}")
    taps, side = filter_length(wavelet), min(height, width) >> (levels - 1)
    if side < taps:
        raise ValueError(
            f"image_size {size} leaves a side of {side} for level {levels}, but wavelet {wavelet!r} has "
            f"{taps} taps and needs as many pixels"
        )
