"""Self-attention between the pixels of a feature map."""

from math import sqrt
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from wavelight.networks.initialization import NEARLY_ZERO, fan_average
from wavelight.networks.normalization import group_norm


class PixelLinear(nn.Module):
    """A linear map of every pixel's channels; its weight is ``(in, out)``, as checkpoints have it.

    Args:
        channels: Channels that come in, and go out.
        scale: Scale of the initial variance.
    """

    published_names: ClassVar = {"weight": "W", "bias": "b"}

    def __init__(self, channels: int, scale: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, channels))
        self.bias = nn.Parameter(torch.empty(channels))
        fan_average(self, scale)

    def forward(self, pixels: Tensor) -> Tensor:
        """Map ``(N, pixels, channels)`` to the same shape."""
        return functional.linear(pixels, self.weight.t(), self.bias)


class PixelAttention(nn.Module):
    """Lets every pixel read from every other: one head of attention, added to the features.

    Args:
        channels: Channels of the features.
    """

    published_names: ClassVar = {
        "norm": "GroupNorm_0",
        "query": "NIN_0",
        "key": "NIN_1",
        "value": "NIN_2",
        "out": "NIN_3",
    }

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = group_norm(channels)
        self.query, self.key, self.value = (PixelLinear(channels, scale=0.1) for _ in range(3))
        self.out = PixelLinear(channels, scale=NEARLY_ZERO)

    def forward(self, x: Tensor) -> Tensor:
        """Attend over ``x`` ``(N, channels, H, W)``."""
        pixels = self.norm(x).flatten(2).transpose(1, 2)
        read = functional.scaled_dot_product_attention(
            self.query(pixels), self.key(pixels), self.value(pixels)
        )
        return (x + self.out(read).transpose(1, 2).view_as(x)) / sqrt(2)
