"""Pyramids: a factor for the coarsest band, and one for the details of each level."""

from abc import abstractmethod

from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from wavelight.factorizations.base import (
    Factor,
    Factorization,
    LevelBands,
    Refinement,
    SampleTarget,
    Shape,
    check_sides,
    check_transform,
)
from wavelight.factorizations.scaling import BandScaling, PerChannel, band_at, scaled_bands
from wavelight.factors import Condition
from wavelight.wavelets import (
    DETAIL_BANDS,
    LevelStatistics,
    idwt2,
)


class LevelByLevel(Factorization):
    """A factor for the coarsest band, and one for the details of each level given the LL that they refine.

    Args:
        levels: How often the image is halved.
        wavelet: The wavelet whose LL bands these are, by PyWavelets' name.
        scaling: How bands are scaled; standardised per channel unless said otherwise.
        channels: The channels of the images.
        detail_channels: The channels of the details of a level.
        detail_scaling: How details are scaled, where it is not as LL is.

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
        detail_scaling: BandScaling | None = None,
    ) -> None:
        super().__init__()
        check_transform(wavelet, levels)
        self.levels = levels
        self.wavelet = wavelet
        self.channels = channels
        scaling = scaling or PerChannel()
        self.coarse = scaled_bands(scaling, levels, channels)
        self.details = scaled_bands(detail_scaling or scaling, levels, detail_channels)

    @abstractmethod
    def given(self, coarse: Tensor) -> Tensor:
        """Bring an LL band ``(N, C, H, W)`` to the resolution of the details that refine it."""

    @abstractmethod
    def merge(self, given: Tensor, details: Tensor) -> Tensor:
        """Build images, or LL of the level below; with :meth:`given` it undoes :meth:`split`.

        Args:
            given: LL, as :meth:`given` brings it.
            details: Unscaled details of the same resolution.
        """

    @override
    def target_shapes(self, image: Shape) -> list[Shape]:
        channels, height, width = image
        check_sides(height, width, self.wavelet, self.levels)
        if channels != self.channels:
            raise ValueError(
                f"channels of {type(self).__name__} must be those of the images, {channels}, got "
                f"{self.channels}"
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
    def factor_name(self, index: int) -> str:
        if index == 0:
            return f"LL of level {self.levels}"
        return f"details of level {self.levels - index + 1}"

    @override
    def encode(self, image: Tensor) -> list[Factor]:
        levels = self._analyses(image)
        coarsest = band_at(self.coarse, self.levels)(levels[-1].coarse)
        details = [self._details(level, bands) for level, bands in enumerate(levels, start=1)]
        return [Factor(coarsest), *reversed(details)]

    def _details(self, level: int, bands: "LevelBands") -> Factor:
        scaled, given = band_at(self.details, level), self.given(bands.coarse)
        return Factor(
            scaled(bands.details),
            Condition(band_at(self.coarse, level)(given)),
            Refinement(given, scaled, self.merge),
        )

    @override
    def decode(self, sample: SampleTarget) -> Tensor:
        coarse = sample(0, None)
        for index, level in enumerate(range(self.levels, 0, -1), start=1):
            condition = self.given(coarse)
            image = self.merge(
                band_at(self.coarse, level).inverse(condition),
                band_at(self.details, level).inverse(sample(index, condition)),
            )
            coarse = band_at(self.coarse, level - 1)(image) if level > 1 else image
        return coarse

    @override
    def fit(self, statistics: list[LevelStatistics]) -> None:
        for level in range(1, self.levels + 1):
            band_at(self.coarse, level).fit(statistics[level].coarse)
            band_at(self.details, level).fit(statistics[level].details)


class Pyramid(LevelByLevel):
    """A wavelet's pyramid: a level's details are three bands, given LL of their resolution.

    Args:
        levels: How often the image is halved.
        wavelet: The wavelet, by PyWavelets' name.
        scaling: How bands are scaled; standardised per channel unless said otherwise.
        channels: The channels of the images.
        detail_scaling: How details are scaled, where it is not as LL is.

    Raises:
        ValueError: If there is no level, or no wavelet of this name.
    """

    def __init__(
        self,
        levels: int,
        wavelet: str = "haar",
        scaling: BandScaling | None = None,
        channels: int = 3,
        detail_scaling: BandScaling | None = None,
    ) -> None:
        detail_channels = DETAIL_BANDS * channels
        super().__init__(levels, wavelet, scaling, channels, detail_channels, detail_scaling)

    @override
    def given(self, coarse: Tensor) -> Tensor:
        return coarse

    @override
    def merge(self, given: Tensor, details: Tensor) -> Tensor:
        return idwt2(given, details, self.wavelet)

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
    whatever is generated.

    Coarse images are kept at twice their averages a level, as Haar's LL, which they are: so scalings mean the
    same here, ``Half`` keeps everything in [-1, 1], and models of the coarsest band can be taken over from a Haar
    pyramid.

    Args:
        levels: How often the image is halved.
        scaling: How bands are scaled; standardised per channel unless said otherwise.
        channels: The channels of the images.
        detail_scaling: How residuals are scaled, where it is not as LL is.

    Raises:
        ValueError: If there is no level.
    """

    def __init__(
        self,
        levels: int,
        scaling: BandScaling | None = None,
        channels: int = 3,
        detail_scaling: BandScaling | None = None,
    ) -> None:
        super().__init__(levels, "haar", scaling, channels, channels, detail_scaling)

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
