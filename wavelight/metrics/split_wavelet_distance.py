"""The Fréchet wavelet distance in two parts: that of LL, and that of the details."""

from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from wavelight.metrics.base import CombinedMetric
from wavelight.metrics.wavelet_distance import FrechetWaveletDistance

_LARGEST_PACKET = 16


class SplitWaveletDistance(CombinedMetric):
    """The Fréchet wavelet distance in two parts: that of coarse images (LL), and that of the details.

    Coarse images are means over blocks, which Haar's LL is. Haar packets of images are those of
    the coarse images (times a constant) and those of the details, and the distance is a mean over packets: so
    ``fwd_coarse`` + ``fwd_details`` is the Fréchet wavelet distance of the images for packets no larger than the
    coarse image, up to the rounding of coarse images to bytes. Packets have the largest side of the coarse image's,
    halved until it is 16 or less.

    Args:
        levels: Number of times that images are halved.
        image_size: Side of the images.
    """

    def __init__(self, levels: int, image_size: int) -> None:
        side = image_size >> levels
        while side > _LARGEST_PACKET and side % 2 == 0:
            side //= 2
        self.levels = levels
        self._whole = FrechetWaveletDistance(side)
        self._coarse = FrechetWaveletDistance(side)

    @property
    @override
    def identity(self) -> str:
        return f"{self._whole.identity}, and of means over blocks of {2**self.levels}"

    @override
    def parts(self) -> tuple[tuple[str, FrechetWaveletDistance], ...]:
        return ("whole.", self._whole), ("coarse.", self._coarse)

    @override
    def update(self, images: Tensor, real: bool) -> None:
        coarse = functional.avg_pool2d(images.float(), 2**self.levels)
        self._whole.update(images, real)
        self._coarse.update(coarse.round().byte(), real)

    @override
    def values(self) -> dict[str, Tensor]:
        whole, coarse = self._whole.compute(), self._coarse.compute()
        return {"fwd_coarse": coarse, "fwd_details": whole - coarse}
