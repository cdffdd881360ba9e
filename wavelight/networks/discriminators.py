"""Discriminators of diffusion steps (Xiao et al. 2022): is the cleaner image of a pair real?"""

from collections.abc import Sequence
from math import sqrt
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from wavelight.factors import FactorShape
from wavelight.networks.embeddings import sinusoidal_embedding
from wavelight.networks.initialization import NEARLY_ZERO, fan_out
from wavelight.networks.minibatch import MinibatchStandardDeviation
from wavelight.networks.resampling import FilteredDown

EMBEDDING = 256
"""Length of the embedding of the diffusion step."""

SLOPE = 0.2
"""Slope of the leaky rectifiers below zero."""


class StepEmbedding(nn.Module):
    """Embeds a diffusion step for a discriminator."""

    published_names: ClassVar = {"hidden": "main.0", "out": "main.2"}

    def __init__(self) -> None:
        super().__init__()
        self.hidden = fan_out(nn.Linear(EMBEDDING, EMBEDDING))
        self.out = fan_out(nn.Linear(EMBEDDING, EMBEDDING))

    def forward(self, t: Tensor) -> Tensor:
        """Embed steps ``t`` ``(N,)`` as ``(N, EMBEDDING)``, activated."""
        waves = sinusoidal_embedding(t, EMBEDDING).to(self.hidden.weight.dtype)
        hidden = functional.leaky_relu(self.hidden(waves), SLOPE)
        return functional.leaky_relu(self.out(hidden), SLOPE)


class DiscriminatorBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut, conditioned on the diffusion step between them.

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
        halve: Whether the resolution is halved, between the convolutions and before the shortcut.
    """

    published_names: ClassVar = {
        "conv_in": "conv1.0",
        "conv_out": "conv2.0",
        "step": "dense_t1",
        "shortcut": "skip.0",
    }

    def __init__(self, inputs: int, outputs: int, halve: bool) -> None:
        super().__init__()
        self.conv_in = fan_out(nn.Conv2d(inputs, outputs, 3, padding=1))
        self.conv_out = fan_out(nn.Conv2d(outputs, outputs, 3, padding=1), NEARLY_ZERO)
        self.step = fan_out(nn.Linear(EMBEDDING, outputs))
        self.shortcut = fan_out(nn.Conv2d(inputs, outputs, 1, bias=False))
        self.resample = FilteredDown() if halve else nn.Identity()

    def forward(self, x: Tensor, step: Tensor) -> Tensor:
        """Map features ``(N, inputs, H, W)``, given the embedding ``step`` ``(N, EMBEDDING)``."""
        h = self.conv_in(functional.leaky_relu(x, SLOPE)) + self.step(step)[:, :, None, None]
        h = self.conv_out(self.resample(functional.leaky_relu(h, SLOPE)))
        return (h + self.shortcut(self.resample(x))) / sqrt(2)


class BlockPlan(NamedTuple):
    """The channels that a block puts out, and whether it halves the resolution."""

    outputs: int
    halve: bool


class Discriminator(nn.Module):
    """Discriminator of pairs: is the cleaner image a real one, a diffusion step before the noisier?

    Args:
        channels: Channels of one image.
        stem: Channels that the pair is first mapped to.
        plan: The blocks, the first first.
        last_scale: Scale of the initial variance of the last convolution.
    """

    def __init__(
        self, channels: int, stem: int, plan: Sequence[BlockPlan], last_scale: float
    ) -> None:
        super().__init__()
        self.channels = channels
        self.step_embedding = StepEmbedding()
        self.stem = fan_out(nn.Conv2d(2 * channels, stem, 1))
        inputs = [stem, *(block.outputs for block in plan)]
        self.blocks = nn.ModuleList(
            DiscriminatorBlock(before, *block) for before, block in zip(inputs, plan, strict=False)
        )
        self.spread = MinibatchStandardDeviation()
        self.conv_out = fan_out(nn.Conv2d(inputs[-1] + 1, inputs[-1], 3, padding=1), last_scale)
        self.score = fan_out(nn.Linear(inputs[-1], 1))
        self.to(memory_format=torch.channels_last)

    def forward(self, x_t: Tensor, t: Tensor, x_next: Tensor) -> Tensor:
        """Score pairs of images.

        Args:
            x_t: The cleaner images ``(N, channels, H, W)``, real or generated.
            t: Their diffusion steps ``(N,)``, integers from 0.
            x_next: The noisier images, at step ``t + 1``, ``(N, channels, H, W)``.

        Returns:
            Logits ``(N, 1)``, large for a real pair.

        Raises:
            ValueError: If the images of all processes are more than 4 and not a multiple of it.
        """
        step = self.step_embedding(t)
        h = self.stem(torch.cat([x_t, x_next], dim=1).contiguous(memory_format=torch.channels_last))
        for block in self.blocks:
            h = block(h, step)
        h = functional.leaky_relu(self.conv_out(self.spread(h)), SLOPE)
        return self.score(h.sum(dim=(2, 3)))

    @property
    def published_names(self) -> dict[str, str]:
        """Names of the parts in published state dicts."""
        blocks = {f"blocks.{i}": f"conv{i + 1}" for i in range(len(self.blocks))}
        return blocks | {
            "step_embedding": "t_embed",
            "stem": "start_conv",
            "conv_out": "final_conv",
            "score": "end_linear",
        }


class SmallDiscriminator(Discriminator):
    """The discriminator of small images, whose first block keeps the resolution.

    Args:
        shape: Of one image; unconditional.
        width: Half the channels that a pair is first mapped to.
        blocks: Number of blocks, 3 or more; all but the first halve the resolution.
    """

    def __init__(self, shape: FactorShape, width: int, blocks: int) -> None:
        multiples = [2, 4, 8, *[8] * (blocks - 3)]
        plan = [BlockPlan(width * multiple, halve=i > 0) for i, multiple in enumerate(multiples)]
        shape.refuse_condition(type(self).__name__)
        super().__init__(shape.channels, 2 * width, plan, last_scale=NEARLY_ZERO)


class LargeDiscriminator(Discriminator):
    """The discriminator of large images, whose every block halves the resolution.

    Args:
        shape: Of one image; unconditional.
        width: Half the channels that a pair is first mapped to.
        blocks: Number of blocks, 2 or more.
    """

    def __init__(self, shape: FactorShape, width: int, blocks: int) -> None:
        multiples = [4, 8, *[8] * (blocks - 2)]
        plan = [BlockPlan(width * multiple, halve=True) for multiple in multiples]
        shape.refuse_condition(type(self).__name__)
        super().__init__(shape.channels, 2 * width, plan, last_scale=1)
