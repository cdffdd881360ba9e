"""NCSN++ as a generator (Song et al. 2021; Xiao et al. 2022): of DDGAN and plain WaveDiff."""

from collections.abc import Iterator, Mapping, Sequence
from math import sqrt
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from wavelight.networks.attention import PixelAttention
from wavelight.networks.conditioning import Condition, all_at_once
from wavelight.networks.embeddings import LatentMapping, StepMapping
from wavelight.networks.initialization import NEARLY_ZERO, fan_average
from wavelight.networks.normalization import group_norm
from wavelight.networks.resampling import FilteredConvolutionDown
from wavelight.networks.residual import DownBlock, ResidualBlock, UpBlock


class Sizes(NamedTuple):
    """Lengths of what all residual blocks of a generator are told."""

    step: int
    """Of the embedding of the diffusion step."""

    style: int
    """Of what the latent is mapped to."""


class Stage(nn.Module):
    """A residual block, and attention after it where there is some.

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
        sizes: Of what the block is told.
        attends: Whether there is attention.
    """

    def __init__(self, inputs: int, outputs: int, sizes: Sizes, attends: bool = False) -> None:
        super().__init__()
        self.block = ResidualBlock(inputs, outputs, *sizes)
        self.attention = PixelAttention(outputs) if attends else nn.Identity()

    def forward(self, x: Tensor, condition: Condition) -> Tensor:
        """Map features ``(N, inputs, H, W)``, given the condition of the block."""
        return self.attention(self.block(x, condition))


class EncoderLevel(nn.Module):
    """What the encoder does at one resolution: its stages, and the way down.

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
        blocks: Number of stages.
        sizes: Of what the blocks are told.
        attends: Whether every stage has attention.
        carried: Channels of the image that is carried beside the features; ``None`` at the
            smallest resolution, from which no way leads down.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        blocks: int,
        sizes: Sizes,
        attends: bool,
        carried: int | None,
    ) -> None:
        super().__init__()
        incoming = [inputs] + [outputs] * (blocks - 1)
        self.stages = nn.ModuleList(Stage(width, outputs, sizes, attends) for width in incoming)
        self.down = None if carried is None else DownBlock(outputs, outputs, *sizes)
        self.pyramid = None if carried is None else FilteredConvolutionDown(carried, outputs)

    def forward(
        self, h: Tensor, image: Tensor, conditions: Iterator[Condition]
    ) -> tuple[list[Tensor], Tensor]:
        """Run the level.

        Args:
            h: Features ``(N, inputs, H, W)``.
            image: The carried image ``(N, carried, H, W)``.
            conditions: Of the blocks from here on.

        Returns:
            What the level leaves for the decoder, of which the last enters the next level; and the
            carried image there.
        """
        skips = []
        for stage in self.stages:
            h = stage(h, next(conditions))
            skips.append(h)
        if self.down is None or self.pyramid is None:
            return skips, image
        image = (self.pyramid(image) + self.down(h, next(conditions))) / sqrt(2)
        return [*skips, image], image


class DecoderLevel(nn.Module):
    """What the decoder does at one resolution: its stages, which read a skip each, and the way up.

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
        skips: Channels of what the stages read from the encoder, in their order.
        sizes: Of what the blocks are told.
        attends: Whether the last stage has attention.
        ascends: Whether the resolution is doubled at the end.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        skips: Sequence[int],
        sizes: Sizes,
        attends: bool,
        ascends: bool,
    ) -> None:
        super().__init__()
        incoming = [inputs] + [outputs] * (len(skips) - 1)
        last = len(skips) - 1
        self.stages = nn.ModuleList(
            Stage(width + skip, outputs, sizes, attends and index == last)
            for index, (width, skip) in enumerate(zip(incoming, skips, strict=True))
        )
        self.up = UpBlock(outputs, outputs, *sizes) if ascends else None

    def forward(self, h: Tensor, skips: list[Tensor], conditions: Iterator[Condition]) -> Tensor:
        """Map features ``(N, inputs, H, W)``, taking the last of the skips for each stage."""
        for stage in self.stages:
            h = stage(torch.cat([h, skips.pop()], dim=1), next(conditions))
        return h if self.up is None else self.up(h, next(conditions))


class NCSNpp(nn.Module):
    """Draws clean images given noisy ones, a diffusion step and a latent.

    A U-Net of residual blocks with filtered resampling. The noisy image is carried down beside the
    features, and a latent chooses the scale and shift of every normalization.

    Args:
        resolution: Side of the images (of the sub-bands, where these are what is drawn).
        channels: Channels of the images: 3 for colours, 12 for the four sub-bands of colours.
        width: Channels of the features at full resolution.
        multipliers: Channels at each resolution as multiples of ``width``, from the full resolution
            down by halves.
        attention_resolutions: Sides of feature maps that get attention, beside the smallest, which
            always does.
        mapping_layers: Hidden layers of the mapping of the latent, after its first.
        blocks: Residual blocks at each resolution of the encoder; the decoder has one more.
        latent: Length of the latent.
        style: Length of what the latent is mapped to.

    Raises:
        ValueError: If ``multipliers`` ask for more halvings than the resolution allows, or for
            channels that group normalization cannot split.
    """

    def __init__(
        self,
        resolution: int,
        channels: int,
        width: int,
        multipliers: Sequence[int],
        attention_resolutions: Sequence[int],
        mapping_layers: int,
        blocks: int = 2,
        latent: int = 100,
        style: int = 256,
    ) -> None:
        super().__init__()
        if resolution % 2 ** (len(multipliers) - 1):
            raise ValueError(
                f"resolution {resolution} cannot be halved {len(multipliers) - 1} times, "
                f"as {len(multipliers)} multipliers ask for"
            )
        self.resolution = resolution
        self.channels = channels
        widths = [width * multiplier for multiplier in multipliers]
        entering = [width, *widths]  # channels of the features on their way down, at each level
        carried = [channels, *widths]  # channels of the image beside them
        attends = [resolution >> level in attention_resolutions for level in range(len(widths))]
        sizes = Sizes(4 * width, style)
        last = len(widths) - 1

        def encoder_level(level: int) -> EncoderLevel:
            image = carried[level] if level < last else None
            return EncoderLevel(
                entering[level], widths[level], blocks, sizes, attends[level], image
            )

        def decoder_level(level: int) -> DecoderLevel:
            inputs, outputs = widths[min(level + 1, last)], widths[level]
            skips = [outputs] * blocks + [entering[level]]
            return DecoderLevel(inputs, outputs, skips, sizes, attends[level], ascends=level > 0)

        self.step_mapping = StepMapping(width, sizes.step)
        self.latent_mapping = LatentMapping(latent, sizes.style, mapping_layers)
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
        """Draw clean images.

        Args:
            x: Noisy images ``(N, channels, resolution, resolution)``.
            t: Diffusion steps ``(N,)``, integers from 0: the index of the cleaner of the two images
                of a step.
            z: Latents ``(N, latent)``, standard normal.

        Returns:
            ``(N, channels, resolution, resolution)`` in (-1, 1).
        """
        conditions = self._conditions(t, z)
        skips = self._encode(x.contiguous(memory_format=torch.channels_last), conditions)
        h = skips[-1]
        for stage in self.middle:
            h = stage(h, next(conditions))
        for level in self.decoder:
            h = level(h, skips, conditions)
        return torch.tanh(self.head(functional.silu(self.head_norm(h)))).contiguous()

    def _conditions(self, t: Tensor, z: Tensor) -> Iterator[Condition]:
        """Make the conditions of all residual blocks, in the order in which they run."""
        blocks = [module for module in self.modules() if isinstance(module, ResidualBlock)]
        norms = [norm for block in blocks for norm in (block.norm_in, block.norm_out)]
        shifts = all_at_once([block.step for block in blocks], self.step_mapping(t))
        affines = all_at_once([norm.style for norm in norms], self.latent_mapping(z))
        return map(Condition, shifts, affines, affines)

    def _encode(self, image: Tensor, conditions: Iterator[Condition]) -> list[Tensor]:
        skips = [self.stem(image)]
        for level in self.encoder:
            left, image = level(skips[-1], image, conditions)
            skips += left
        return skips

    @property
    def published_names(self) -> Mapping[str, str]:
        """Names of the parts in published state dicts, which number them as they are built."""
        kinds = (ResidualBlock, PixelAttention, FilteredConvolutionDown)
        inner = [name for name, module in self.named_modules() if isinstance(module, kinds)]
        numbered = ["step_mapping.hidden", "step_mapping.out", "stem", *inner, "head_norm", "head"]
        names = {ours: f"all_modules.{number}" for number, ours in enumerate(numbered)}
        # Before the first linear layer stands the normalization of the latent, after each a SiLU.
        mapping = {
            f"latent_mapping.layers.{i}": f"z_transform.{2 * i + 1}"
            for i in range(len(self.latent_mapping.layers))
        }
        return names | mapping
