"""The attention-gate U-Net of the hybrid of Xiao et al. (arXiv 2411.09356), which they name GANO."""

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from wavelight.factors import Condition, FactorShape
from wavelight.networks.batch_statistics import BatchNorm2d
from wavelight.networks.one_shot import DetailGenerator

SLOPE = 0.1
"""Slope of the leaky rectifiers below zero."""


class NormalizedBlock(nn.Module):
    """Two 3x3 convolutions, each followed by batch normalization, beside a 1x1 shortcut.

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        between = (inputs + outputs) // 2
        self.conv_in = nn.Conv2d(inputs, between, 3, padding=1)
        self.norm_in = BatchNorm2d(between)
        self.conv_out = nn.Conv2d(between, outputs, 3, padding=1)
        self.norm_out = BatchNorm2d(outputs)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map features ``(N, inputs, H, W)`` to ``(N, outputs, H, W)``."""
        h = functional.leaky_relu(self.norm_in(self.conv_in(x)), SLOPE)
        return functional.leaky_relu(self.norm_out(self.conv_out(h)) + self.shortcut(x), SLOPE)


class AttentionGate(nn.Module):
    """Lets through, of what the encoder left, what the decoder asks for (Oktay et al. 2018).

    Args:
        channels: Channels of what the encoder left, and of the decoder's features.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.asked = nn.Conv2d(channels, channels // 2, 1, bias=False)
        self.norm_asked = BatchNorm2d(channels // 2)
        self.offered = nn.Conv2d(channels, channels // 2, 1, bias=False)
        self.norm_offered = BatchNorm2d(channels // 2)
        self.agreement = nn.Conv2d(channels // 2, 1, 1, bias=False)
        self.norm_agreement = BatchNorm2d(1)

    def forward(self, h: Tensor, skip: Tensor) -> Tensor:
        """Scale every pixel of a skip.

        Args:
            h: The decoder's features ``(N, channels, H, W)``.
            skip: Features of the encoder, ``(N, channels, H, W)``.

        Returns:
            The skip, times a number between 0 and 1 for each pixel.
        """
        met = self.norm_asked(self.asked(h)) + self.norm_offered(self.offered(skip))
        return skip * torch.sigmoid(self.norm_agreement(self.agreement(functional.relu(met))))


class GatedUp(nn.Module):
    """Doubles the resolution, maps, and puts the gated skip of that resolution beside.

    Args:
        inputs: Channels that come in.
        outputs: Channels of the skip, and half of those that go out.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.block = NormalizedBlock(inputs, outputs)
        self.gate = AttentionGate(outputs)

    def forward(self, h: Tensor, skip: Tensor) -> Tensor:
        """Map ``(N, inputs, H, W)`` and ``(N, outputs, 2H, 2W)`` to ``(N, 2 * outputs, 2H, 2W)``."""
        h = self.block(functional.interpolate(h, scale_factor=2, mode="bilinear"))
        return torch.cat([h, self.gate(h, skip)], dim=1)


class AttentionGateUNet(DetailGenerator):
    """Maps noise and LL to details, in one evaluation: the generator of the hybrid (GANO).

    One network serves bands of all sizes that the pools divide. Initial weights, of which the
    description says nothing, are PyTorch's.

    Args:
        shape: Of the details, and of LL; where one network serves several levels, of the coarsest.
        width: Channels of the features at full resolution, which double with every pool; a multiple
            of 4. The published code has 64, and the model of the paper's table, by its size, 40.
        noise_channels: Channels of the noise: 3 as published, 0 for regression.
        pools: How often the resolution is halved, 1 or more; the sides of the bands must be multiples
            of ``2 ** pools``.
        bounded: Whether the details end in tanh, as published; without it, they need not lie in
            [-1, 1], as those of a second level do not.

    Raises:
        ValueError: If there is no pool, or if the width is not a multiple of 4.
    """

    def __init__(
        self,
        shape: FactorShape,
        width: int,
        noise_channels: int,
        pools: int = 4,
        bounded: bool = True,
    ) -> None:
        if pools < 1:
            raise ValueError(f"pools must be at least 1, got {pools}")
        if width < 4 or width % 4:
            raise ValueError(f"width must be a positive multiple of 4, got {width}")
        channels, condition_channels = shape.channels, shape.condition_channels
        super().__init__(channels, condition_channels, noise_channels, halvings=pools)
        self.bounded = bounded
        widths = [width << level for level in range(pools + 1)]
        entering = [condition_channels + noise_channels, *widths]
        leaving = [widths[-1], *(2 * outputs for outputs in reversed(widths[:-1]))]
        self.encoder = nn.ModuleList(
            NormalizedBlock(inputs, outputs)
            for inputs, outputs in zip(entering, widths, strict=False)
        )
        self.decoder = nn.ModuleList(
            GatedUp(inputs, outputs)
            for inputs, outputs in zip(leaving, reversed(widths[:-1]), strict=False)
        )
        self.last = NormalizedBlock(2 * width, width // 2)
        self.head = nn.Conv2d(width // 2, channels, 1)
        self.to(memory_format=torch.channels_last)

    @override
    def forward(self, noise: Tensor, condition: Condition) -> Tensor:
        h = self.encoder[0](self.conditioned(noise, condition))
        skips = []
        for block in self.encoder[1:]:
            skips.append(h)
            h = block(functional.max_pool2d(h, 2))
        for up in self.decoder:
            h = up(h, skips.pop())
        details = self.head(self.last(h))
        return (details.tanh() if self.bounded else details).contiguous()
