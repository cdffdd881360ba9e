"""Blocks that resample through Haar wavelets, so that details go by the bottleneck (Phung et al. 2023, section 4.3).

Where bands are channels, their order inside the published networks is LL, HL, LH, HH for every data
set; :mod:`wavelight.wavelets` has LH first.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from wavelight.networks.initialization import fan_average
from wavelight.networks.modulation import Modulation
from wavelight.networks.residual import Halved, Residual, ResidualBlock, Sizes
from wavelight.wavelets import haar_merge, haar_split


class FrequencyDownBlock(Residual):
    """Halves the resolution by taking LL, and hands on the other bands.

    The first convolution and the shortcut's come before the halving.

    Args:
        channels: Channels that come in, and go out.
        sizes: Sizes of the embeddings that modulate the block.
    """

    def __init__(self, channels: int, sizes: Sizes) -> None:
        super().__init__(channels, channels, sizes, mapped=True)

    def forward(self, x: Tensor, modulation: Modulation) -> Halved:
        """Halve features ``(N, channels, H, W)``; details are HL, LH and HH, ``(N, 3 * channels, H/2, W/2)``."""
        coarse, rows, columns, diagonal = haar_split(self.conv_in(self._opened(x, modulation)))
        # Half of LL is the mean of four pixels. A mean of pixels and a map of channels commute, and
        # a map is cheaper on fewer pixels.
        passed = self.shortcut(functional.avg_pool2d(x, 2))
        details = torch.cat([columns, rows, diagonal], dim=1)
        return Halved(self._closed(coarse / 2, passed, modulation), details)


class FrequencyUpBlock(Residual):
    """Doubles the resolution, with the details that a :class:`FrequencyDownBlock` took away.

    The first convolution and the shortcut's come before the doubling.

    Args:
        channels: Channels that come in, and go out.
        taken: Channels of the block that took the details.
        sizes: Sizes of the embeddings that modulate the block.
    """

    published_names: ClassVar = Residual.published_names | {"details": "convH_0"}

    def __init__(self, channels: int, taken: int, sizes: Sizes) -> None:
        super().__init__(channels, channels, sizes, mapped=True)
        self.details = fan_average(nn.Conv2d(3 * taken, 3 * channels, 3, padding=1, groups=3))

    def forward(self, x: Tensor, details: Tensor | None, modulation: Modulation) -> Tensor:
        """Double features ``(N, channels, H, W)``, given details ``(N, 3 * taken, H, W)``."""
        assert details is not None
        weight, bias = self.details.parameters()
        # As published, details are halved before the convolution and doubled behind it: all that
        # comes of it is a doubled bias.
        bands = functional.conv2d(details, weight, 2 * bias, padding=1, groups=3)
        columns, rows, diagonal = bands.chunk(3, dim=1)
        # Likewise LL is twice the features, so that they are the mean of four pixels.
        h, passed = (
            haar_merge(2 * mean, rows, columns, diagonal)
            for mean in (self.conv_in(self._opened(x, modulation)), self.shortcut(x))
        )
        return self._closed(h, passed, modulation)


class WaveletDown(nn.Module):
    """Halves the resolution of the carried image by a learnt 3x3 convolution of its four bands.

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        layer = fan_average(nn.Conv2d(4 * inputs, outputs, 3, padding=1))
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, inputs, H, W)`` to ``(N, outputs, H/2, W/2)``."""
        # The published layer halves the orthonormal bands.
        mean, rows, columns, diagonal = haar_split(x, scale=1 / 4)
        bands = torch.cat([mean, columns, rows, diagonal], dim=1)
        return functional.conv2d(bands, self.weight, self.bias, padding=1)


def refine_coarse(block: ResidualBlock, h: Tensor, modulation: Modulation) -> Tensor:
    """Apply a residual block to half of LL alone, and put the other bands back as they were.

    Args:
        block: The block, which keeps channels.
        h: Features ``(N, C, H, W)``.
        modulation: Modulation of the block.

    Returns:
        ``(N, C, H, W)``.
    """
    coarse, rows, columns, diagonal = haar_split(h)
    return haar_merge(2 * block(coarse / 2, modulation), rows, columns, diagonal)
