"""The discriminator of the hybrid of Xiao et al. (arXiv 2411.09356): a residual network over images."""

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from wavelight.factors import UNCONDITIONAL, Condition, FactorShape
from wavelight.networks.attention_gate_unet import SLOPE
from wavelight.networks.batch_statistics import BatchNorm2d
from wavelight.networks.dropout import Dropout
from wavelight.networks.one_shot import DetailDiscriminator

DROPOUT = 0.5
"""Dropout rate of the last features."""


class HalvingBlock(nn.Module):
    """Halves the resolution and doubles the channels, by strided convolutions beside a shortcut.

    Args:
        channels: Channels that come in.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm_in = BatchNorm2d(channels)
        self.conv_out = nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1)
        self.norm_out = BatchNorm2d(2 * channels)
        self.shortcut = nn.Conv2d(channels, 2 * channels, 1, bias=False)
        self.norm_shortcut = BatchNorm2d(2 * channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, channels, H, W)`` to ``(N, 2 * channels, H/2, W/2)``, the halves rounded up."""
        h = functional.leaky_relu(self.norm_in(self.conv_in(x)), SLOPE)
        # Not a stride of 2: of fewer than 8 channels, channels last, its gradient in PyTorch 2.15 writes beyond its
        # memory on CPUs that have AVX2 and not AVX-512.
        h = self.norm_out(self.conv_out(h)) + self.norm_shortcut(self.shortcut(x[..., ::2, ::2]))
        return functional.leaky_relu(h, SLOPE)


class ResidualDiscriminator(DetailDiscriminator):
    """Discriminator of images, or of details: that of the published hybrid (GANO).

    As published it takes images one level finer than LL, and is not conditioned on LL. It takes images
    of every size, so one serves all levels. Batch normalization couples the images of a batch in
    training: a gradient penalty sees the whole batch, and real and generated images that are scored
    in separate batches are normalized separately. Initial weights, which the paper does not state,
    are PyTorch's.

    Args:
        shape: The shape of the images that details complete, and the channels of LL.
        width: Channels of the features at full resolution, which double with every block. The
            published code has 64.
        blocks: Number of blocks, each of which halves the resolution.
        conditional: Whether it is conditioned on LL; it is not as published.
    """

    def __init__(
        self, shape: FactorShape, width: int, blocks: int = 5, conditional: bool = False
    ) -> None:
        channels = shape.channels
        condition_channels = shape.condition_channels if conditional else 0
        super().__init__(channels, condition_channels)
        self.stem = nn.Conv2d(channels + condition_channels, width, 3, padding=1)
        self.norm = BatchNorm2d(width)
        self.blocks = nn.Sequential(*(HalvingBlock(width << level) for level in range(blocks)))
        last = width << blocks
        self.hidden = nn.Linear(last, last // 2)
        self.dropout = Dropout(DROPOUT)
        self.score = nn.Linear(last // 2, 1)
        self.to(memory_format=torch.channels_last)

    @override
    def forward(self, x: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        h = functional.leaky_relu(self.norm(self.stem(self.conditioned(x, condition))), SLOPE)
        h = self.blocks(h).mean(dim=(2, 3))
        return self.score(self.dropout(functional.leaky_relu(self.hidden(h), SLOPE)))
