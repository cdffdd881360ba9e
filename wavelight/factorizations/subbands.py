"""All sub-bands of a wavelet transform as channels of one factor."""

import torch
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from wavelight.factorizations.base import (
    Factor,
    Factorization,
    SampleTarget,
    Shape,
    check_sides,
    check_transform,
)
from wavelight.factorizations.scaling import BandScaling, Half, ScaledBand, band_at, scaled_bands
from wavelight.wavelets import (
    DETAIL_BANDS,
    BandOrder,
    LevelStatistics,
    idwt2,
)


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
        check_transform(wavelet, levels)
        self.wavelet = wavelet
        self.order = order
        self.levels = levels
        scaling = scaling or Half()
        self.coarse = ScaledBand(scaling, levels, channels)
        self.details = scaled_bands(scaling, levels, DETAIL_BANDS * channels)

    @override
    def target_shapes(self, image: Shape) -> list[Shape]:
        channels, height, width = image
        check_sides(height, width, self.wavelet, self.levels)
        return [(channels * 4**self.levels, height >> self.levels, width >> self.levels)]

    @override
    def factor_name(self, index: int) -> str:
        return "sub-bands"

    @override
    def encode(self, image: Tensor) -> list[Factor]:
        levels = self._analyses(image)
        bands = [self.coarse(levels[-1].coarse)]
        for level in range(self.levels, 0, -1):
            details = band_at(self.details, level)(levels[level - 1].details)
            block = 2 ** (self.levels - level)
            bands.append(functional.pixel_unshuffle(self.order.arrange(details), block))
        return [Factor(torch.cat(bands, dim=1))]

    @override
    def decode(self, sample: SampleTarget) -> Tensor:
        bands = sample(0, None)
        channels = bands.shape[1] // 4**self.levels
        sizes = [DETAIL_BANDS * channels * 4**finer for finer in range(self.levels)]
        coarse, *stacked = bands.split([channels, *sizes], dim=1)
        image = self.coarse.inverse(coarse)
        for finer, details in enumerate(stacked):
            details = self.order.arrange(functional.pixel_shuffle(details, 2**finer))
            scaled = band_at(self.details, self.levels - finer)
            image = idwt2(image, scaled.inverse(details), self.wavelet)
        return image

    @override
    def fit(self, statistics: list[LevelStatistics]) -> None:
        self.coarse.fit(statistics[self.levels].coarse)
        for level in range(1, self.levels + 1):
            band_at(self.details, level).fit(statistics[level].details)
