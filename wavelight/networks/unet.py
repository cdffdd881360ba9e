"""The U-Net that few-step generators share (NCSN++: Song et al. 2021; Xiao et al. 2022), whatever resamples in it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import sqrt
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from wavelight.factors import FactorShape
from wavelight.networks.attention import PixelAttention
from wavelight.networks.embeddings import MappingNetwork, TimestepEmbedding
from wavelight.networks.initialization import NEARLY_ZERO, fan_average
from wavelight.networks.modulation import Modulation, all_at_once
from wavelight.networks.normalization import group_norm
from wavelight.networks.resampling import check_halvings
from wavelight.networks.residual import Residual, ResidualBlock, Sizes


class Resampling(NamedTuple):
    """How a U-Net changes the resolution: what makes each of its modules that do."""

    down: Callable[[int, Sizes], nn.Module]
    """Halves features, called ``(h, modulation)`` for a :class:`Halved`; made of their channels."""

    pyramid: Callable[[int, int], nn.Module]
    """Halves the carried image; made of the channels that come in, and that go out."""

    up: Callable[[int, int, Sizes], nn.Module]
    """Doubles features, called ``(h, details, modulation)``; made of their channels, and of those of
    the features from which the details were taken."""


class Stage(nn.Module):
    """A residual block, and attention after it where there is some.

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
        sizes: Sizes of the embeddings that modulate the block.
        attends: Whether there is attention.
    """

    def __init__(self, inputs: int, outputs: int, sizes: Sizes, attends: bool = False) -> None:
        super().__init__()
        self.block = ResidualBlock(inputs, outputs, sizes)
        self.attention = PixelAttention(outputs) if attends else nn.Identity()

    def forward(self, x: Tensor, modulation: Modulation) -> Tensor:
        """Map features ``(N, inputs, H, W)``, given the modulation of the block."""
        return self.attention(self.block(x, modulation))


class EncoderLevel(nn.Module):
    """Encoder at one resolution: its stages, and the way down.

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
        blocks: Number of stages.
        sizes: Sizes of the embeddings that modulate the blocks.
        attends: Whether every stage has attention.
        down: Halves the features; ``None`` at the smallest resolution.
        pyramid: Halves the image that is carried beside them; ``None`` likewise.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        blocks: int,
        sizes: Sizes,
        attends: bool,
        down: nn.Module | None,
        pyramid: nn.Module | None,
    ) -> None:
        super().__init__()
        incoming = [inputs] + [outputs] * (blocks - 1)
        self.stages = nn.ModuleList(Stage(width, outputs, sizes, attends) for width in incoming)
        self.down = down
        self.pyramid = pyramid

    def forward(
        self, h: Tensor, image: Tensor, modulations: Iterator[Modulation]
    ) -> tuple[list[Tensor], Tensor, Tensor | None]:
        """Run the level.

        Args:
            h: Features ``(N, inputs, H, W)``.
            image: The carried image ``(N, carried, H, W)``.
            modulations: Modulation of the blocks from here on.

        Returns:
            The skips of the level for the decoder; the last one enters the next level; the
            carried image there; and the details that were taken from the features on the way.
        """
        skips = []
        for stage in self.stages:
            h = stage(h, next(modulations))
            skips.append(h)
        if self.down is None or self.pyramid is None:
            return skips, image, None
        halved = self.down(h, next(modulations))
        image = (self.pyramid(image) + halved.features) / sqrt(2)
        return [*skips, image], image, halved.details


class DecoderLevel(nn.Module):
    """Decoder at one resolution: its stages, which read a skip each, and the way up.

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
        skips: Channels of what the stages read from the encoder, in their order.
        sizes: Sizes of the embeddings that modulate the blocks.
        attends: Whether the last stage has attention.
        up: Doubles the features; ``None`` at the full resolution.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        skips: Sequence[int],
        sizes: Sizes,
        attends: bool,
        up: nn.Module | None,
    ) -> None:
        super().__init__()
        incoming = [inputs] + [outputs] * (len(skips) - 1)
        last = len(skips) - 1
        self.stages = nn.ModuleList(
            Stage(width + skip, outputs, sizes, attends and index == last)
            for index, (width, skip) in enumerate(zip(incoming, skips, strict=True))
        )
        self.up = up

    def forward(
        self,
        h: Tensor,
        skips: list[Tensor],
        details: list[Tensor | None],
        modulations: Iterator[Modulation],
    ) -> Tensor:
        """Map features ``(N, inputs, H, W)``, taking the last of the skips for each stage, and of the details."""
        for stage in self.stages:
            h = stage(torch.cat([h, skips.pop()], dim=1), next(modulations))
        return h if self.up is None else self.up(h, details.pop(), next(modulations))


class UNet(nn.Module):
    """Samples clean images given noisy ones, a diffusion step and a latent.

    The noisy image is carried down beside the features, and a latent chooses the scale and shift of
    every normalization.

    Args:
        resampling: How the resolution changes.
        shape: Of the images; unconditional.
        width: Channels of the features at full resolution.
        multipliers: Channels at each resolution as multiples of ``width``.
        attention_resolutions: Sides of feature maps that get attention, beside the smallest.
        mapping_layers: Hidden layers of the mapping of the latent, after its first.
        blocks: Residual blocks at each resolution of the encoder; the decoder has one more.
        latent: Length of the latent.
        style: Length of what the latent is mapped to.
        bounded: Whether what is generated ends in tanh.

    Raises:
        ValueError: If ``multipliers`` ask for more halvings than the resolution allows, or for
            channels that group normalization cannot split.
    """

    def __init__(
        self,
        resampling: Resampling,
        shape: FactorShape,
        width: int,
        multipliers: Sequence[int],
        attention_resolutions: Sequence[int],
        mapping_layers: int,
        blocks: int,
        latent: int,
        style: int,
        bounded: bool,
    ) -> None:
        super().__init__()
        shape.refuse_condition(type(self).__name__)
        resolution, channels = shape.side, shape.channels
        check_halvings(resolution, len(multipliers))
        self.resolution = resolution
        self.channels = channels
        self.bounded = bounded
        widths = [width * multiplier for multiplier in multipliers]
        entering = [width, *widths]  # channels of the features on their way down, at each level
        carried = [channels, *widths]  # channels of the image beside them
        attends = [resolution >> level in attention_resolutions for level in range(len(widths))]
        sizes = Sizes(4 * width, style)
        last = len(widths) - 1

        def encoder_level(level: int) -> EncoderLevel:
            outputs = widths[level]
            down = resampling.down(outputs, sizes) if level < last else None
            pyramid = resampling.pyramid(carried[level], outputs) if level < last else None
            return EncoderLevel(
                entering[level], outputs, blocks, sizes, attends[level], down, pyramid
            )

        def decoder_level(level: int) -> DecoderLevel:
            inputs, outputs = widths[min(level + 1, last)], widths[level]
            skips = [outputs] * blocks + [entering[level]]
            up = resampling.up(outputs, widths[level - 1], sizes) if level > 0 else None
            return DecoderLevel(inputs, outputs, skips, sizes, attends[level], up)

        self.step_mapping = TimestepEmbedding(width, sizes.step)
        self.latent_mapping = MappingNetwork(latent, sizes.style, mapping_layers)
        self.stem = fan_average(nn.Conv2d(channels, width, 3, padding=1))
        self.encoder = nn.ModuleList(encoder_level(level) for level in range(len(widths)))
        self.middle = nn.ModuleList(
            Stage(widths[-1], widths[-1], sizes, attends) for attends in (True, False)
        )
        self.decoder = nn.ModuleList(decoder_level(level) for level in reversed(range(len(widths))))
        self.head_norm = group_norm(widths[0])
        self.head = fan_average(nn.Conv2d(widths[0], channels, 3, padding=1), NEARLY_ZERO)
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor, t: Tensor, z: Tensor) -> Tensor:
        """Sample clean images.

        Args:
            x: Noisy images ``(N, channels, resolution, resolution)``.
            t: Diffusion steps ``(N,)``, integers from 0: the index of the cleaner of the two images
                of a step.
            z: Latents ``(N, latent)``, standard normal.

        Returns:
            ``(N, channels, resolution, resolution)``, in (-1, 1) where it is bounded.
        """
        modulations = self._modulations(t, z)
        image = x.contiguous(memory_format=torch.channels_last)
        skips, details = [self.stem(image)], []
        for level in self.encoder:
            left, image, taken = level(skips[-1], image, modulations)
            skips += left
            details.append(taken)
        details.pop()  # the smallest resolution is not left downwards
        h = self._bottleneck(skips[-1], modulations)
        for level in self.decoder:
            h = level(h, skips, details, modulations)
        generated = self.head(functional.silu(self.head_norm(h)))
        return (torch.tanh(generated) if self.bounded else generated).contiguous()

    def _bottleneck(self, h: Tensor, modulations: Iterator[Modulation]) -> Tensor:
        """Map the features of the smallest resolution."""
        for stage in self.middle:
            h = stage(h, next(modulations))
        return h

    def _modulations(self, t: Tensor, z: Tensor) -> Iterator[Modulation]:
        """Make the modulations of all residual blocks, in the order in which they run."""
        blocks = [module for module in self.modules() if isinstance(module, Residual)]
        norms = [norm for block in blocks for norm in (block.norm_in, block.norm_out)]
        shifts = all_at_once([block.step for block in blocks], self.step_mapping(t))
        affines = all_at_once([norm.style for norm in norms], self.latent_mapping(z))
        return map(Modulation, shifts, affines, affines)

    @property
    def published_names(self) -> Mapping[str, str]:
        """Names of the parts in published state dicts, which number them as they are built."""
        pyramids = [level.pyramid for level in self.encoder]
        inner = [
            name
            for name, module in self.named_modules()
            if isinstance(module, Residual | PixelAttention) or module in pyramids
        ]
        numbered = ["step_mapping.hidden", "step_mapping.out", "stem", *inner, "head_norm", "head"]
        names = {ours: f"all_modules.{number}" for number, ours in enumerate(numbered)}
        # Before the first linear layer stands the normalization of the latent, after each a SiLU.
        mapping = {
            f"latent_mapping.layers.{i}": f"z_transform.{2 * i + 1}"
            for i in range(len(self.latent_mapping.layers))
        }
        return names | mapping
