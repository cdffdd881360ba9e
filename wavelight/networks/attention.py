"""Self-attention between the pixels of a feature map."""

from collections.abc import Iterable
from math import sqrt
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from wavelight.networks.initialization import NEARLY_ZERO, fan_average
from wavelight.networks.normalization import group_norm

_FEW_PIXELS = 256


class PixelLinear(nn.Module):
    """The weights of a linear map of every pixel's channels; ``(in, out)``, as checkpoints have them.

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
        maps = _mapped(self.norm(x), self.query, self.key, self.value)
        query, key, value = (each.flatten(2).transpose(1, 2) for each in maps)
        read = attend(query, key, value)
        (out,) = _mapped(read.transpose(1, 2).view_as(x), self.out)
        return (x + out) / sqrt(2)


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Read from values by scaled dot products (Vaswani et al. 2017, equation 1), in the form that is fast here.

    Args:
        query: ``(N, pixels, C)``, or ``(N, heads, pixels, C)``.
        key: Of the same shape.
        value: Of the same shape.

    Returns:
        Of the same shape.
    """
    if not _products_are_faster(query):
        return functional.scaled_dot_product_attention(query, key, value)
    weights = torch.softmax(query @ key.transpose(-1, -2) / sqrt(query.shape[-1]), dim=-1)
    return weights @ value


def _products_are_faster(query: Tensor) -> bool:
    """Tell whether two products take a CPU a fraction of the time of the fused form, which is made for many pixels.

    They do for one wide head, and where numbers have 16 bits, a quarter of it (64 pixels, two heads of 32 channels,
    forward and backward on one thread of an AMD EPYC: 3.2 ms against 12.1; 256 pixels, four heads: 82 against 100).
    """
    if query.device.type != "cpu":
        return False
    narrow = query.dim() == 4
    return not narrow or (query.dtype == torch.bfloat16 and query.shape[-2] <= _FEW_PIXELS)


def _mapped(x: Tensor, *layers: PixelLinear) -> Iterable[Tensor]:
    """Map the channels of ``(N, C, H, W)`` by each layer, all at once."""
    weight = torch.cat([layer.weight for layer in layers], dim=1).t()[:, :, None, None]
    bias = torch.cat([layer.bias for layer in layers])
    return functional.conv2d(x, weight, bias).chunk(len(layers), dim=1)
