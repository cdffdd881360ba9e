"""A generator and a discriminator of details from the blocks of R3GAN (Huang et al. 2024)."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from wavelight.factors import UNCONDITIONAL, Condition, FactorShape
from wavelight.networks.one_shot import DetailDiscriminator, DetailGenerator
from wavelight.networks.resampling import check_halvings, fitted

Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)

SLOPE = 0.2
"""Slope of the leaky rectifiers below zero."""

EXPANSION = 2
"""Channels inside a block, as a multiple of those outside."""

GROUP = 16
"""Channels that a grouped convolution mixes with each other."""


class GroupedBlock(nn.Module):
    """Widens, convolves in groups, and narrows, beside the identity; there is no normalization.

    The last map starts at zero, and the others are scaled for the number of blocks, so that signals
    neither grow nor vanish in a deep network (Zhang et al. 2019, "Fixup", for branches of three maps).

    Args:
        channels: Channels that come in, and go out.
        blocks: Number of blocks of the network.
    """

    def __init__(self, channels: int, blocks: int) -> None:
        super().__init__()
        inside = EXPANSION * channels
        scale = blocks**-0.25
        self.widen = _activated(nn.Conv2d(channels, inside, 1), scale)
        self.convolution = _activated(
            nn.Conv2d(inside, inside, 3, padding=1, groups=inside // GROUP), scale
        )
        self.narrow = nn.Conv2d(inside, channels, 1, bias=False)
        nn.init.zeros_(self.narrow.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map features ``(N, channels, H, W)``."""
        h = functional.leaky_relu(self.widen(x), SLOPE)
        return x + self.narrow(functional.leaky_relu(self.convolution(h), SLOPE))


class GroupedUNet(DetailGenerator):
    """Maps noise and LL to details, in one evaluation, by blocks of R3GAN.

    R3GAN samples whole images: it has a decoder alone, from a learnt 4x4 basis that a latent weighs.
    Details are conditioned on an LL of their own resolution, so here

    * an encoder, a mirror image of the decoder, reads LL, and hands the decoder a skip connection at
      each resolution: edges of LL show where its details are;
    * the latent is an image of noise beside LL: the uncertainty given LL is local, such as the phase of
      a texture, and a network without a basis of fixed size serves all levels of a pyramid and images
      of every size.

    Args:
        shape: The shape of the details, and of LL; where one network serves several levels, of the coarsest.
        width: Channels of the features, of which the multipliers are multiples.
        multipliers: Channels at each resolution as multiples of ``width``, from the full resolution
            down by halves; all these channels must be multiples of 8.
        noise_channels: Channels of the noise; 0 for regression.
        blocks: Blocks at each resolution of the encoder, and of the decoder.
        smallest_side: Side of the smallest features, to which ``multipliers`` are fitted: where they are too
            many, the first are left out, where too few, the last is repeated; none takes as many as there are.

    Raises:
        ValueError: If ``multipliers`` are empty, or ask for channels that do not split into groups.
    """

    def __init__(
        self,
        shape: FactorShape,
        width: int,
        multipliers: Sequence[int],
        noise_channels: int,
        blocks: int = 2,
        smallest_side: int | None = None,
    ) -> None:
        channels, condition_channels = shape.channels, shape.condition_channels
        widths = _widths(width, fitted(multipliers, shape.side, smallest_side))
        super().__init__(channels, condition_channels, noise_channels, len(widths) - 1)
        total = blocks * (2 * len(widths) - 1)
        self.stem = _linear(nn.Conv2d(condition_channels + noise_channels, widths[0], 1))
        self.encoder = nn.ModuleList(_stage(outputs, blocks, total) for outputs in widths)
        self.downs = nn.ModuleList(
            _linear(nn.Conv2d(finer, coarser, 1, bias=False)) for finer, coarser in pairwise(widths)
        )
        self.ups = nn.ModuleList(
            _linear(nn.Conv2d(coarser + finer, finer, 1, bias=False))
            for finer, coarser in pairwise(widths)
        )
        self.decoder = nn.ModuleList(_stage(outputs, blocks, total) for outputs in widths[:-1])
        self.head = _linear(nn.Conv2d(widths[0], channels, 1))
        self.to(memory_format=torch.channels_last)

    @override
    def forward(self, noise: Tensor, condition: Condition) -> Tensor:
        h = self.encoder[0](self.stem(self.conditioned(noise, condition)))
        skips = []
        for down, stage in zip(self.downs, self.encoder[1:], strict=True):
            skips.append(h)
            h = stage(down(downsample(h)))
        for up, stage in zip(reversed(self.ups), reversed(self.decoder), strict=True):
            h = stage(up(torch.cat([upsample(h), skips.pop()], dim=1)))
        return self.head(h).contiguous()


class GroupedDiscriminator(DetailDiscriminator):
    """Discriminator of details, or of the images that they complete, by blocks of R3GAN.

    As in R3GAN, a learnt basis of the size of the smallest features weighs their pixels, so the
    network is made for one resolution. R3GAN's discriminator is conditioned on a class, by a product with
    the last features; the condition here is an image, concatenated to the input.

    Args:
        shape: The shape of the images that details complete, and the channels of LL.
        width: Channels of the features, of which the multipliers are multiples.
        multipliers: Channels at each resolution as multiples of ``width``, from the full resolution
            down by halves, best to a side of 4; all these channels must be multiples of 8.
        blocks: Blocks at each resolution.
        conditional: Whether it is conditioned on LL.
        smallest_side: Side of the smallest features, to which ``multipliers`` are fitted: where they are too
            many, the first are left out, where too few, the last is repeated; none takes as many as there are.

    Raises:
        ValueError: If ``multipliers`` are empty, ask for more halvings than the resolution allows, or
            for channels that do not split into groups.
    """

    def __init__(
        self,
        shape: FactorShape,
        width: int,
        multipliers: Sequence[int],
        blocks: int = 2,
        conditional: bool = True,
        smallest_side: int | None = None,
    ) -> None:
        channels, resolution = shape.channels, shape.side
        condition_channels = shape.condition_channels if conditional else 0
        widths = _widths(width, fitted(multipliers, resolution, smallest_side))
        check_halvings(resolution, len(widths))
        super().__init__(channels, condition_channels)
        self.resolution = resolution
        total = blocks * len(widths)
        self.stem = _linear(nn.Conv2d(channels + condition_channels, widths[0], 1))
        self.stages = nn.ModuleList(_stage(outputs, blocks, total) for outputs in widths)
        self.downs = nn.ModuleList(
            _linear(nn.Conv2d(finer, coarser, 1, bias=False)) for finer, coarser in pairwise(widths)
        )
        last, side = widths[-1], resolution >> len(self.downs)
        self.basis = _linear(nn.Conv2d(last, last, side, groups=last, bias=False))
        self.score = _linear(nn.Linear(last, 1))
        self.to(memory_format=torch.channels_last)

    @override
    def forward(self, x: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        if x.shape[2:] != (self.resolution, self.resolution):
            raise ValueError(
                f"images must be {self.resolution}x{self.resolution} pixels, got "
                f"{tuple(x.shape[2:])}"
            )
        h = self.stages[0](self.stem(self.conditioned(x, condition)))
        for down, stage in zip(self.downs, self.stages[1:], strict=True):
            h = stage(down(downsample(h)))
        return self.score(self.basis(h).flatten(1))


def downsample(x: Tensor) -> Tensor:
    """Halve the resolution: filter by [1, 2, 1] / 4, with zeros outside, and keep every even sample.

    Args:
        x: ``(N, C, H, W)`` of even sides.

    Returns:
        ``(N, C, H/2, W/2)``.
    """
    # [1, 2, 1] is [1, 1] twice, which pooling does much faster than a convolution.
    pairs = functional.avg_pool2d(functional.pad(x, (1, 0, 1, 0)), 2, stride=1)
    return functional.avg_pool2d(pairs, 2)


def upsample(x: Tensor) -> Tensor:
    """Double the resolution: keep samples at even places, and take means between, with zeros outside.

    It is four times the transpose of :func:`downsample`, so the two together move nothing.

    Args:
        x: ``(N, C, H, W)``.

    Returns:
        ``(N, C, 2H, 2W)``.
    """
    repeated = functional.interpolate(x, scale_factor=2, mode="nearest")
    return functional.avg_pool2d(functional.pad(repeated, (0, 1, 0, 1)), 2, stride=1)


def _stage(channels: int, blocks: int, total: int) -> nn.Sequential:
    return nn.Sequential(*(GroupedBlock(channels, total) for _ in range(blocks)))


def _widths(width: int, multipliers: Sequence[int]) -> list[int]:
    if not multipliers:
        raise ValueError("multipliers is empty: give one for each resolution")
    widths = [width * multiplier for multiplier in multipliers]
    for channels in widths:
        if channels < 1 or EXPANSION * channels % GROUP:
            raise ValueError(
                f"channels must be a multiple of {GROUP // EXPANSION} (times {EXPANSION}, in groups "
                f"of {GROUP}), got {channels}"
            )
    return widths


def _activated(layer: nn.Conv2d, scale: float) -> nn.Conv2d:
    """Sample weights that keep a signal's variance through layer and rectifier; then scale them."""
    nn.init.kaiming_uniform_(layer.weight, a=SLOPE, nonlinearity="leaky_relu")
    with torch.no_grad():
        layer.weight.mul_(scale)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def _linear(layer: Layer) -> Layer:
    """Sample weights that keep a signal's variance."""
    nn.init.kaiming_uniform_(layer.weight, nonlinearity="linear")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
