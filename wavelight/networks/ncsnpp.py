"""NCSN++ as a conditional generator (Song et al. 2021; Xiao et al. 2022): the network of plain WaveDiff and of DDGAN."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wavelight.networks.attention import PixelAttention
from wavelight.networks.conditioning import Condition, all_at_once
from wavelight.networks.embeddings import LatentMapping, StepMapping
from wavelight.networks.initialization import NEARLY_ZERO, fan_average
from wavelight.networks.normalization import group_norm
from wavelight.networks.resampling import FilteredConvolutionDown, FilteredDown, FilteredUp
from wavelight.networks.residual import ResidualBlock


class EncoderLevel(nn.Module):
    """What the encoder does at one resolution: its stages, and the way down for the features and for the image.

    Args:
        stages: Each a residual block, and attention where there is some.
        down: Halves the features; ``None`` at the smallest resolution.
        pyramid: Halves the image that is carried beside them; ``None`` where ``down`` is.
    """

    def __init__(
        self, stages: Sequence["Stage"], down: ResidualBlock | None, pyramid: FilteredConvolutionDown | None
    ) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.down = down
        self.pyramid = pyramid


class DecoderLevel(nn.Module):
    """What the decoder does at one resolution: its stages, which read a skip each, and the way up.

    Args:
        stages: Each a residual block, and attention where there is some.
        up: Doubles the features; ``None`` at the full resolution.
    """

    def __init__(self, stages: Sequence["Stage"], up: ResidualBlock | None) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.up = up


class Stage(nn.Module):
    """A residual block, and attention after it where there is some."""

    def __init__(self, block: ResidualBlock, attention: PixelAttention | None = None) -> None:
        super().__init__()
        self.block = block
        self.attention = attention

    def forward(self, x: Tensor, condition: Condition) -> Tensor:
        """Map features ``(N, C, H, W)``, given the condition of the block."""
        h = self.block(x, condition)
        return h if self.attention is None else self.attention(h)


class NCSNpp(nn.Module):
    """Draws clean images given noisy ones, a diffusion step and a latent.

    A U-Net of residual blocks with filtered resampling. The noisy image is carried down beside the features, and a
    latent chooses the scale and shift of every normalization.

    Args:
        resolution: Side of the images (of the sub-bands, where these are what is drawn).
        channels: Channels of the images: 3 for colours, 12 for the four sub-bands of colours.
        width: Channels of the features at full resolution.
        multipliers: Channels at each resolution as multiples of ``width``, from the full resolution down by halves.
        attention_resolutions: Sides of feature maps that get attention, beside the smallest, which always does.
        mapping_layers: Hidden layers of the mapping of the latent, after its first.
        blocks: Residual blocks at each resolution of the encoder; the decoder has one more.
        latent: Length of the latent.
        style: Length of what the latent is mapped to.

    Raises:
        ValueError: If ``multipliers`` ask for more halvings than the resolution allows, or for channels that group
            normalization cannot split.
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
        widths = [width * multiplier for multiplier in multipliers]
        entering = [width, *widths]  # channels that the encoder has when it comes to each level
        carried = [channels, *widths]  # channels of the image that it carries there
        last = len(widths) - 1
        block = partial(ResidualBlock, step=4 * width, style=style)

        def attention(level: int) -> PixelAttention | None:
            return PixelAttention(widths[level]) if resolution >> level in attention_resolutions else None

        def encoder_level(level: int) -> EncoderLevel:
            out = widths[level]
            inputs = [entering[level]] + [out] * (blocks - 1)
            stages = [Stage(block(channels, out), attention(level)) for channels in inputs]
            if level == last:
                return EncoderLevel(stages, None, None)
            pyramid = FilteredConvolutionDown(carried[level], out)
            return EncoderLevel(stages, block(out, out, resample=FilteredDown()), pyramid)

        def decoder_level(level: int) -> DecoderLevel:
            out = widths[level]
            inputs = [widths[min(level + 1, last)]] + [out] * blocks
            skips = [out] * blocks + [entering[level]]
            stages = [Stage(block(sum(pair), out)) for pair in zip(inputs, skips, strict=True)]
            stages[-1].attention = attention(level)
            return DecoderLevel(stages, block(out, out, resample=FilteredUp()) if level else None)

        self.step_mapping = StepMapping(width, 4 * width)
        self.latent_mapping = LatentMapping(latent, style, mapping_layers)
        self.stem = fan_average(nn.Conv2d(channels, width, 3, padding=1))
        self.encoder = nn.ModuleList(encoder_level(level) for level in range(len(widths)))
        self.middle = nn.ModuleList(
            [
                Stage(block(widths[-1], widths[-1]), PixelAttention(widths[-1])),
                Stage(block(widths[-1], widths[-1])),
            ]
        )
        self.decoder = nn.ModuleList(decoder_level(level) for level in reversed(range(len(widths))))
        self.head_norm = group_norm(widths[0])
        self.head = fan_average(nn.Conv2d(widths[0], channels, 3, padding=1), NEARLY_ZERO)
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor, t: Tensor, z: Tensor) -> Tensor:
        """Draw clean images.

        Args:
            x: Noisy images ``(N, channels, resolution, resolution)``.
            t: Diffusion steps ``(N,)``, integers from 0: the index of the cleaner of the two images of a step.
            z: Latents ``(N, latent)``, standard normal.

        Returns:
            ``(N, channels, resolution, resolution)`` in (-1, 1).
        """
        conditions = self._conditions(t, z)
        h, skips = self._encode(x.contiguous(memory_format=torch.channels_last), conditions)
        for stage in self.middle:
            h = stage(h, next(conditions))
        h = self._decode(h, skips, conditions)
        return torch.tanh(self.head(F.silu(self.head_norm(h)))).contiguous()

    def _conditions(self, t: Tensor, z: Tensor) -> Iterator[Condition]:
        """Make the conditions of all residual blocks, in the order in which they run."""
        blocks = [module for module in self.modules() if isinstance(module, ResidualBlock)]
        norms = [norm for block in blocks for norm in (block.norm_in, block.norm_out)]
        shifts = all_at_once([block.step for block in blocks], self.step_mapping(t))
        affines = all_at_once([norm.style for norm in norms], self.latent_mapping(z))
        return map(Condition, shifts, affines, affines)

    def _encode(self, image: Tensor, conditions: Iterator[Condition]) -> tuple[Tensor, list[Tensor]]:
        h = self.stem(image)
        skips = [h]
        for level in self.encoder:
            for stage in level.stages:
                h = stage(h, next(conditions))
                skips.append(h)
            if level.down is not None:
                h = image = (level.pyramid(image) + level.down(h, next(conditions))) / sqrt(2)
                skips.append(h)
        return h, skips

    def _decode(self, h: Tensor, skips: list[Tensor], conditions: Iterator[Condition]) -> Tensor:
        for level in self.decoder:
            for stage in level.stages:
                h = stage(torch.cat([h, skips.pop()], dim=1), next(conditions))
            if level.up is not None:
                h = level.up(h, next(conditions))
        return h

    @property
    def published_names(self) -> Mapping[str, str]:
        """Names of the parts in published state dicts, which number them in the order in which they are built."""
        kinds = (ResidualBlock, PixelAttention, FilteredConvolutionDown)
        inner = [name for name, module in self.named_modules() if isinstance(module, kinds)]
        numbered = ["step_mapping.hidden", "step_mapping.out", "stem", *inner, "head_norm", "head"]
        names = {ours: f"all_modules.{number}" for number, ours in enumerate(numbered)}
        # Between two linear layers there stands an activation; before the first, the normalization of the latent.
        mapping = {f"latent_mapping.layers.{i}": f"z_transform.{2 * i + 1}" for i in range(len(self.latent_mapping.layers))}
        return names | mapping
