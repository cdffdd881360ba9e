"""The U-Net of improved diffusion (Nichol and Dhariwal 2021), of WSGM and of the SGM it is compared with."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from wavelight.factors import UNCONDITIONAL, Condition, FactorShape
from wavelight.networks.attention import attend
from wavelight.networks.dropout import Dropout
from wavelight.networks.embeddings import TimestepEmbedding
from wavelight.networks.initialization import fan_average
from wavelight.networks.modulation import all_at_once
from wavelight.networks.normalization import group_norm
from wavelight.networks.resampling import check_halvings, fitted


class Shared(NamedTuple):
    """Options that all parts of a U-Net share."""

    embedding: int
    """Length of the embedding of the time."""

    heads: int
    """Number of heads of every attention."""

    dropout: float
    """Share of the features that every residual block forgets in training."""

    periodic: bool
    """Whether images continue at the opposite border, and not with zeros."""

    def convolution(self, inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
        """Make a 3x3 convolution from ``inputs`` to ``outputs`` channels."""
        convolution = nn.Conv2d(
            inputs,
            outputs,
            3,
            stride,
            padding=1,
            padding_mode="circular" if self.periodic else "zeros",
        )
        return fan_average(convolution)

    def silent_convolution(self, inputs: int, outputs: int) -> nn.Conv2d:
        """Make a 3x3 convolution that starts at zero."""
        return fan_average(self.convolution(inputs, outputs), scale=0)


class ScaleShiftBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut; the time scales and shifts what the second reads.

    The shortcut is the identity where the number of channels stays, and a 1x1 convolution where it
    changes.

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
        shared: Options that all parts share.
    """

    def __init__(self, inputs: int, outputs: int, shared: Shared) -> None:
        super().__init__()
        self.norm_in = group_norm(inputs)
        self.conv_in = shared.convolution(inputs, outputs)
        self.affine = fan_average(nn.Linear(shared.embedding, 2 * outputs))
        self.norm_out = group_norm(outputs)
        self.dropout = Dropout(shared.dropout)
        self.conv_out = shared.silent_convolution(outputs, outputs)
        mapped = inputs != outputs
        self.shortcut = fan_average(nn.Conv2d(inputs, outputs, 1)) if mapped else nn.Identity()

    def forward(self, x: Tensor, affine: Tensor) -> Tensor:
        """Map features ``(N, inputs, H, W)``, given what :attr:`affine` makes of the time's embedding."""
        scale, shift = affine[:, :, None, None].chunk(2, dim=1)
        h = self.conv_in(functional.silu(self.norm_in(x)))
        h = functional.silu(torch.addcmul(shift, 1 + scale, self.norm_out(h)))
        return self.shortcut(x) + self.conv_out(self.dropout(h))


class HeadsAttention(nn.Module):
    """Lets every pixel read from every other, by several heads, added to the features.

    Args:
        channels: Channels of the features.
        heads: Number of heads, which share the channels.

    Raises:
        ValueError: If the heads do not share the channels evenly.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        if channels % heads:
            raise ValueError(f"channels must be divisible by heads = {heads}, got {channels}")
        self.heads = heads
        self.norm = group_norm(channels)
        self.query_key_value = fan_average(nn.Conv2d(channels, 3 * channels, 1))
        self.out = fan_average(nn.Conv2d(channels, channels, 1), scale=0)

    def forward(self, x: Tensor) -> Tensor:
        """Attend over ``x`` ``(N, channels, H, W)``."""
        pixels = self.query_key_value(self.norm(x)).flatten(2).transpose(1, 2)
        heads = pixels.unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        read = attend(*heads.unbind())
        pixels = read.transpose(1, 2).flatten(2)
        return x + self.out(pixels.transpose(1, 2).unflatten(2, x.shape[2:]))


class Stage(nn.Module):
    """A residual block, and attention after it where there is some.

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
        shared: Options that all parts share.
        attends: Whether there is attention.
    """

    def __init__(self, inputs: int, outputs: int, shared: Shared, attends: bool) -> None:
        super().__init__()
        self.block = ScaleShiftBlock(inputs, outputs, shared)
        self.attention = HeadsAttention(outputs, shared.heads) if attends else nn.Identity()

    def forward(self, x: Tensor, affine: Tensor) -> Tensor:
        """Map features ``(N, inputs, H, W)``, given the affine map of the block."""
        return self.attention(self.block(x, affine))


class Up(nn.Module):
    """Doubles the resolution: repeats every pixel, and convolves.

    Args:
        channels: Channels that come in, and go out.
        shared: Options that all parts share.
    """

    def __init__(self, channels: int, shared: Shared) -> None:
        super().__init__()
        self.convolution = shared.convolution(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, channels, H, W)`` to ``(N, channels, 2H, 2W)``."""
        return self.convolution(functional.interpolate(x, scale_factor=2, mode="nearest"))


class EncoderLevel(nn.Module):
    """Encoder at one resolution: its stages, and the way down.

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
        blocks: Number of stages.
        shared: Options that all parts share.
        attends: Whether every stage has attention.
        last: Whether there is no way down.
    """

    def __init__(
        self, inputs: int, outputs: int, blocks: int, shared: Shared, attends: bool, last: bool
    ) -> None:
        super().__init__()
        incoming = [inputs] + [outputs] * (blocks - 1)
        self.stages = nn.ModuleList(Stage(width, outputs, shared, attends) for width in incoming)
        self.down = None if last else shared.convolution(outputs, outputs, stride=2)

    def forward(self, h: Tensor, affines: Iterator[Tensor]) -> list[Tensor]:
        """Run the level.

        Args:
            h: Features ``(N, inputs, H, W)``.
            affines: Scales and shifts that condition the blocks from here on.

        Returns:
            The skips of the level for the decoder; the last one enters the next level.
        """
        skips = []
        for stage in self.stages:
            h = stage(h, next(affines))
            skips.append(h)
        return skips if self.down is None else [*skips, self.down(h)]


class DecoderLevel(nn.Module):
    """Decoder at one resolution: its stages, which read a skip each, and the way up.

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
        skips: Channels of what the stages read from the encoder, in their order.
        shared: Options that all parts share.
        attends: Whether every stage has attention.
        last: Whether there is no way up.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        skips: Sequence[int],
        shared: Shared,
        attends: bool,
        last: bool,
    ) -> None:
        super().__init__()
        incoming = [inputs] + [outputs] * (len(skips) - 1)
        self.stages = nn.ModuleList(
            Stage(width + skip, outputs, shared, attends)
            for width, skip in zip(incoming, skips, strict=True)
        )
        self.up = nn.Identity() if last else Up(outputs, shared)

    def forward(self, h: Tensor, skips: list[Tensor], affines: Iterator[Tensor]) -> Tensor:
        """Map features ``(N, inputs, H, W)``, taking the last of the skips for each stage."""
        for stage in self.stages:
            h = stage(torch.cat([h, skips.pop()], dim=1), next(affines))
        return self.up(h)


class Levels(NamedTuple):
    """The parts of a U-Net, resolution by resolution; level 0 is the full one."""

    widths: Sequence[int]
    """Channels at each level."""

    blocks: int
    """Residual blocks at each level of the encoder; the decoder has one more."""

    attends: Sequence[bool]
    """Whether the blocks of a level are followed by attention."""

    shared: Shared

    def encoder(self, level: int) -> EncoderLevel:
        """Make a level of the encoder, and its way down."""
        last = level == len(self.widths) - 1
        return EncoderLevel(
            self._entering(level),
            self.widths[level],
            self.blocks,
            self.shared,
            self.attends[level],
            last,
        )

    def middle(self) -> nn.ModuleList:
        """Make the stages at the smallest resolution, between encoder and decoder."""
        width = self.widths[-1]
        return nn.ModuleList(Stage(width, width, self.shared, attends) for attends in (True, False))

    def decoder(self, level: int) -> DecoderLevel:
        """Make a level of the decoder, and its way up."""
        skips = [self.widths[level]] * self.blocks + [self._entering(level)]
        return DecoderLevel(
            self.entering_decoder(level),
            self.widths[level],
            skips,
            self.shared,
            self.attends[level],
            last=level == 0,
        )

    def entering_decoder(self, level: int) -> int:
        """Return the channels of the features that come up to a level of the decoder."""
        return self.widths[min(level + 1, len(self.widths) - 1)]

    def _entering(self, level: int) -> int:
        return self.widths[max(level - 1, 0)]


class ImprovedUNet(nn.Module):
    """Maps noisy images and a time to images, such as the noise; its output starts at zero.

    The networks of the bands of WSGM (Guth et al. 2022) have the multipliers of the network of the
    whole image, without the first of them. Initial weights, of which the description says nothing,
    are those of the other generators. So are the groups of the normalizations: 32, as published, from
    128 channels on, and below it four channels each, because channels that are normalized one by one
    lose their mean, and images their colour.

    Args:
        shape: Of the images (of the sub-bands, where these are what is generated), and of LL, where
            they are conditioned on it.
        width: Channels of the features, of which the multipliers are multiples.
        multipliers: Channels at each resolution as multiples of ``width``, from the full resolution
            down by halves; the first and the last convolution have the first of them.
        attention_resolutions: Sides of feature maps whose residual blocks are followed by attention.
            There is one attention more at the smallest.
        blocks: Residual blocks at each resolution of the encoder; the decoder has one more.
        heads: Number of heads of every attention.
        dropout: Share of the features that every residual block forgets in training.
        periodic: Whether images continue at the opposite border, as physical fields do, and not with
            zeros.
        smallest_side: Side of the smallest features, to which ``multipliers`` are fitted: where they are too
            many, the first are left out, where too few, the last is repeated; none takes as many as there are.
        two_times: Whether the network is given two times, such as that of its input and how far its output goes,
            each of which has its own embedding.

    Raises:
        ValueError: If ``multipliers`` ask for more halvings than the resolution allows, or for
            channels that group normalization or the heads cannot split.
    """

    def __init__(
        self,
        shape: FactorShape,
        width: int,
        multipliers: Sequence[int],
        attention_resolutions: Sequence[int],
        blocks: int = 3,
        heads: int = 4,
        dropout: float = 0.0,
        periodic: bool = False,
        smallest_side: int | None = None,
        two_times: bool = False,
    ) -> None:
        super().__init__()
        channels, resolution, _, condition_channels = shape
        multipliers = fitted(multipliers, resolution, smallest_side)
        check_halvings(resolution, len(multipliers))
        self.resolution = resolution
        self.channels = channels
        self.condition_channels = condition_channels
        widths = [width * multiplier for multiplier in multipliers]
        attends = [resolution >> level in attention_resolutions for level in range(len(widths))]
        shared = Shared(4 * width, heads, dropout, periodic)
        levels = Levels(widths, blocks, attends, shared)

        self.time_mapping = TimestepEmbedding(width, shared.embedding)
        self.stem = shared.convolution(channels + condition_channels, widths[0])
        self.encoder = nn.ModuleList(levels.encoder(level) for level in range(len(widths)))
        self.middle = levels.middle()
        self.decoder = nn.ModuleList(
            levels.decoder(level) for level in reversed(range(len(widths)))
        )
        self.head_norm = group_norm(widths[0])
        self.head = shared.silent_convolution(widths[0], channels)
        # The last to be built, so that it changes no other's initial weights.
        self.second_time_mapping = TimestepEmbedding(width, shared.embedding) if two_times else None
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor, t: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Map noisy images.

        Args:
            x: Noisy images ``(N, channels, resolution, resolution)``.
            t: Times ``(N,)`` as they are embedded, best between 0 and 1000: the caller scales them. ``(N, 2)`` for a
                network of two times.
            condition: LL, ``(N, condition_channels, resolution, resolution)``, where
                ``condition_channels`` is not 0.

        Returns:
            ``(N, channels, resolution, resolution)``, unbounded.

        Raises:
            ValueError: If LL does not have the channels that the network is made for, or not the shape
                of the images.
        """
        affines = self._affines(t)
        conditioned = self._conditioned(x, condition)
        skips = [self.stem(conditioned.contiguous(memory_format=torch.channels_last))]
        for level in self.encoder:
            skips += level(skips[-1], affines)
        h = skips[-1]
        for stage in self.middle:
            h = stage(h, next(affines))
        for level in self.decoder:
            h = level(h, skips, affines)
        return self.head(functional.silu(self.head_norm(h))).contiguous()

    def _conditioned(self, x: Tensor, condition: Condition) -> Tensor:
        """Put LL after the noisy images."""
        found = 0 if condition.ll is None else condition.ll.shape[1]
        if found != self.condition_channels:
            raise ValueError(f"LL must have {self.condition_channels} channels, got {found}")
        if condition.ll is None:
            return x
        if condition.ll.shape[2:] != x.shape[2:]:
            raise ValueError(
                f"LL must have the size of the images, {tuple(x.shape[2:])}, got {tuple(condition.ll.shape[2:])}"
            )
        return torch.cat([x, condition.ll], dim=1)

    def _affines(self, t: Tensor) -> Iterator[Tensor]:
        """Make scales and shifts for all residual blocks, in the order in which they run."""
        blocks = [module for module in self.modules() if isinstance(module, ScaleShiftBlock)]
        return all_at_once([block.affine for block in blocks], self._embedded(t))

    def _embedded(self, t: Tensor) -> Tensor:
        if self.second_time_mapping is None:
            return self.time_mapping(t)
        first, second = t.unbind(dim=1)
        return self.time_mapping(first) + self.second_time_mapping(second)
