"""The Fréchet wavelet distance: generated images against real ones, without a feature network."""

import torch
from torch import Tensor
from typing_extensions import override

from wavelight.metrics.base import ImageMetric
from wavelight.metrics.frechet import FewImages, Gaussian, frechet_distance, gaussian_from_sums
from wavelight.metrics.sums import SumMetric
from wavelight.support.collectives import rank, total, world_size
from wavelight.wavelets import dwt2

WHITE = 255
"""The distance is measured on bytes and reported for images in [0, 1]."""


class FrechetWaveletDistance(SumMetric, ImageMetric):
    """The mean, over the Haar packets of images, of the Fréchet distance of their Gaussians.

    Veeramacheneni et al., 2025 (arXiv 2312.15289), with the conventions of their package
    ``pytorchfwd`` 1.0.1: images of [0, 1], orthonormal Haar, covariances with divisor n - 1, the
    colours of a packet in one Gaussian, and a grey image counted as three equal colours. It needs
    no weights and is not an FID; lower is better, and equal Gaussians have 0.

    As every Fréchet distance it falls with n, so only numbers of equal n compare; below as many
    images as a packet has numbers (768 of a colour image) it warns.

    A pixel is a byte, and a Haar coefficient of bytes a multiple of a power of 2: so the float64
    sums of this metric carry no rounding error at all (until they pass 2^53, far beyond 50,000
    images of 256 pixels), and batches and processes can be added up in any order. Memory is bounded
    by these sums whatever n is: real and generated together, 38 MB at 32 pixels and 2.4 GB at 256
    pixels, on the metric's device.

    Args:
        packet_side: The side of a packet, in pixels: images of ``packet_side`` * 2^L pixels are
            split L times, into 4^L packets. 16 is the published choice (L = 4 at 256 pixels).
    """

    least = 2
    total: Tensor
    outer: Tensor

    def __init__(self, packet_side: int = 16) -> None:
        super().__init__("total", "outer")
        self.packet_side = packet_side
        self._few = FewImages("fwd", "coefficients in a packet")

    @property
    @override
    def identity(self) -> str:
        return f"fwd of Haar packets of side {self.packet_side}, sums of bytes"

    @override
    def update(self, images: Tensor, real: bool) -> None:
        """Add images to the sums.

        Args:
            images: ``(N, C, H, H)`` uint8.
            real: Whether they are real, or generated.

        Raises:
            ValueError: If images are not uint8, not square, of a side that is not ``packet_side`` times a power
                of 2, or of another size than before.
        """
        if images.dtype != torch.uint8:
            raise ValueError(
                f"images must be uint8, got {images.dtype}; convert them with "
                "wavelight.support.pictures.to_uint8"
            )
        packets = haar_packets(images.double(), packet_level(images, self.packet_side))
        number, _, dimension = packets.shape
        self.allocate({"outer": (number, dimension, dimension)})
        self.add(real, len(images), total=packets.sum(1))
        # In place, because the sum of a batch would be as large as that of all images.
        self.outer[int(real)].baddbmm_(packets.mT, packets)

    @override
    def compute(self) -> Tensor:
        """Return the distance, a float64 scalar; collective, each process does a part of it.

        Raises:
            ValueError: If there are fewer than two real or two generated images.
        """
        count = self.total_count()
        generated, real = count.tolist()
        self._few.warn(generated, real, self.total.shape[-1])
        packets = self.total.shape[1]
        distance = torch.zeros_like(self.total[0, 0, 0])
        for packet in range(packets):
            pair = self._gaussians(packet, count)
            if packet % world_size() == rank():
                distance += frechet_distance(*pair)
        return total(distance) * self._scale() / packets

    @override
    def values(self) -> dict[str, Tensor]:
        return {"fwd": self.compute()}

    def _gaussians(self, packet: int, count: Tensor) -> tuple[Gaussian, Gaussian]:
        both = gaussian_from_sums(count, total(self.total[:, packet]), total(self.outer[:, packet]))
        real, generated = (Gaussian(both.mean[side], both.covariance[side]) for side in (1, 0))
        return real, generated

    def _scale(self) -> float:
        channels = self.total.shape[-1] // self.packet_side**2
        # Three equal colours have three times the distance of one; pytorchfwd reads every file as
        # colours.
        return (3 if channels == 1 else 1) / WHITE**2


def haar_packets(images: Tensor, level: int) -> Tensor:
    """Split images into their Haar wavelet packets: every band, not LL alone, is split again.

    Args:
        images: ``(N, C, H, W)``.
        level: Number of splits, L.

    Returns:
        ``(4^L, N, C * H/2^L * W/2^L)``.
    """
    channels = images.shape[1]
    for _ in range(level):
        images = torch.cat(dwt2(images), dim=1)
    return images.unflatten(1, (-1, channels)).flatten(2).transpose(0, 1)


def packet_level(images: Tensor, packet_side: int) -> int:
    """Return how often images must be split for packets of a given side.

    Raises:
        ValueError: If images are not square, or their side is not ``packet_side`` times a power of
            2.
    """
    height, width = images.shape[-2:]
    level = (height // packet_side).bit_length() - 1
    if height != width or level < 0 or height != packet_side << level:
        raise ValueError(
            f"the Fréchet wavelet distance needs square images of {packet_side} times a power "
            f"of 2, got {height}x{width}"
        )
    return level
