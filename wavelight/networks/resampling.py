"""Resampling by two through the filter [1, 3, 3, 1], which leaves hardly any aliasing (Karras et al. 2020)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wavelight.networks.initialization import fan_average


def _filter(gain: float) -> Tensor:
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    return gain * torch.outer(taps, taps)[None, None]


class FilteredDown(nn.Module):
    """Halves the resolution: filters, with zeros outside the image, and keeps every second sample."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernel", _filter(gain=1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Filter ``(N, C, H, W)`` down to ``(N, C, H/2, W/2)``."""
        channels = x.shape[1]
        return F.conv2d(x, self.kernel.expand(channels, 1, 4, 4), stride=2, padding=1, groups=channels)


class FilteredUp(nn.Module):
    """Doubles the resolution: puts zeros between samples, and filters, with zeros outside the image."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernel", _filter(gain=4), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Filter ``(N, C, H, W)`` up to ``(N, C, 2H, 2W)``."""
        channels = x.shape[1]
        return F.conv_transpose2d(x, self.kernel.expand(channels, 1, 4, 4), stride=2, padding=1, groups=channels)


class FilteredConvolutionDown(nn.Module):
    """Halves the resolution by a filter and a learnt 3x3 convolution of stride 2.

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
    """

    kernel: Tensor
    published_names = {"convolution": "Conv2d_0"}

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolution = fan_average(nn.Conv2d(inputs, outputs, 3, stride=2))
        self.register_buffer("kernel", _filter(gain=1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, inputs, H, W)`` to ``(N, outputs, H/2, W/2)``."""
        channels = x.shape[1]
        smooth = F.conv2d(x, self.kernel.expand(channels, 1, 4, 4), padding=2, groups=channels)
        return self.convolution(smooth)
