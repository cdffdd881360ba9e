"""A small classifier, whose features images are compared by."""

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

_STRIDES = (1, 2, 2, 2)
"""Strides of the blocks; each stride of 2 doubles the channels."""


_BATCH = 64


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al., 2016, figure 2)."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        first, second = _convolution(inside, outside, 3, stride), _convolution(outside, outside, 3)
        self.layers = nn.Sequential(first, nn.ReLU(), second)
        self.shortcut = _convolution(inside, outside, 1)
        self.stride = stride

    @override
    def forward(self, x: Tensor) -> Tensor:
        # Not a strided convolution: of few channels, channels last, PyTorch 2.15 writes beyond its memory on some CPUs.
        kept = x[..., :: self.stride, :: self.stride]
        return functional.relu(self.layers(x) + self.shortcut(kept))


def _convolution(inside: int, outside: int, side: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inside, outside, side, stride, padding=(side - 1) // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outside))


class Features(nn.Module):
    """Maps images to the spatial means of all layers: a stem, and a few residual blocks.

    The last block alone would not do: a classifier learns to ignore blur and noise, which the early layers
    see.

    Args:
        channels: Channels of the images.
        width: Channels of the stem; there are 16 times as many features.
    """

    scales: Tensor
    """Scale that divides the means of each layer, ``(layers,)``."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        # Half the resolution from the start: the first layers would cost most of the time.
        stem = nn.Sequential(_convolution(channels, width, 4, stride=2), nn.ReLU())
        self.layers = nn.ModuleList([stem])
        self.sizes = [width]
        for stride in _STRIDES:
            self.layers.append(Block(width, stride * width, stride))
            width *= stride
            self.sizes.append(width)
        self.register_buffer("scales", torch.ones(len(self.layers)))
        self.to(memory_format=torch.channels_last)

    def means(self, images: Tensor) -> list[Tensor]:
        """Return the means of each layer, ``(N, channels of the layer)``, of images in [0, 255]."""
        x = images.float() / 127.5 - 1
        means = []
        for layer in self.layers:
            x = layer(x)
            means.append(x.mean((2, 3)))
        return means

    @torch.no_grad()
    def equalise(self, images: Tensor) -> None:
        """Choose the scales by which the means of each layer have variances over images that sum to 1.

        Args:
            images: ``(N, C, H, W)`` uint8.
        """
        parts = zip(*(self.means(batch) for batch in images.split(_BATCH)), strict=True)
        for scale, part in zip(self.scales, parts, strict=True):
            scale.copy_(torch.cat(part).var(0).sum().sqrt())

    @override
    def forward(self, images: Tensor) -> Tensor:
        """Return features, ``(N, sum(sizes))`` float32, of ``(N, C, H, W)`` images in [0, 255]."""
        scaled = zip(self.means(images), self.scales, strict=True)
        return torch.cat([means / scale for means, scale in scaled], 1)


class Classifier(nn.Module):
    """Tells classes apart by the means of the last layer; returns logits ``(N, classes)``."""

    def __init__(self, features: Features, classes: int) -> None:
        super().__init__()
        self.features = features
        self.linear = nn.Linear(features.sizes[-1], classes)

    @override
    def forward(self, images: Tensor) -> Tensor:
        return self.linear(self.features.means(images)[-1])
