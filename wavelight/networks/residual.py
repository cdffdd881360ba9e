"""Residual blocks of NCSN++ (Song et al. 2021, after BigGAN), conditioned on a step and a style."""

from math import sqrt
from typing import ClassVar, NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from wavelight.networks.initialization import NEARLY_ZERO, fan_average
from wavelight.networks.modulation import Modulation
from wavelight.networks.normalization import AdaptiveGroupNorm
from wavelight.networks.resampling import FilteredDown, convolve_filtered_up, filtered_up


class Sizes(NamedTuple):
    """Sizes of the embeddings that modulation all residual blocks of a generator."""

    step: int
    """Size of the embedding of the diffusion step."""

    style: int
    """Size of the mapped latent."""


class Halved(NamedTuple):
    """Output of a block that halves the resolution."""

    features: Tensor
    """``(N, outputs, H/2, W/2)``."""

    details: Tensor | None
    """Detail bands that halving took from the features, for the block that will double them again; None where it
    is given up."""


class Residual(nn.Module):
    """The layers of all residual blocks: two 3x3 convolutions beside a shortcut.

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
        sizes: Sizes of the embeddings that modulate the block.
        mapped: Whether the shortcut maps channels.
    """

    published_names: ClassVar = {
        "norm_in": "GroupNorm_0",
        "conv_in": "Conv_0",
        "step": "Dense_0",
        "norm_out": "GroupNorm_1",
        "conv_out": "Conv_1",
        "shortcut": "Conv_2",
    }

    def __init__(self, inputs: int, outputs: int, sizes: Sizes, mapped: bool) -> None:
        super().__init__()
        self.norm_in = AdaptiveGroupNorm(inputs, sizes.style)
        self.conv_in = fan_average(nn.Conv2d(inputs, outputs, 3, padding=1))
        self.step = fan_average(nn.Linear(sizes.step, outputs))
        self.norm_out = AdaptiveGroupNorm(outputs, sizes.style)
        self.conv_out = fan_average(nn.Conv2d(outputs, outputs, 3, padding=1), NEARLY_ZERO)
        self.shortcut = fan_average(nn.Conv2d(inputs, outputs, 1)) if mapped else nn.Identity()

    def _opened(self, x: Tensor, modulation: Modulation) -> Tensor:
        """Return what the first convolution reads."""
        return functional.silu(self.norm_in(x, modulation.affine_in))

    def _closed(self, h: Tensor, passed: Tensor, modulation: Modulation) -> Tensor:
        """Return what the block puts out, from its first convolution's output and its shortcut's."""
        h = h + modulation.shift[:, :, None, None]
        h = self.conv_out(functional.silu(self.norm_out(h, modulation.affine_out)))
        return (passed + h) / sqrt(2)


class ResidualBlock(Residual):
    """Keeps the resolution.

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
        sizes: Sizes of the embeddings that modulate the block.
    """

    def __init__(self, inputs: int, outputs: int, sizes: Sizes) -> None:
        super().__init__(inputs, outputs, sizes, mapped=inputs != outputs)

    def forward(self, x: Tensor, modulation: Modulation) -> Tensor:
        """Map features ``(N, inputs, H, W)``, given the modulation that this block's layers make."""
        h = self.conv_in(self._opened(x, modulation))
        return self._closed(h, self.shortcut(x), modulation)


class DownBlock(Residual):
    """Halves the resolution by the filter, before its first convolution and in its shortcut.

    Args:
        channels: Channels that come in, and go out.
        sizes: Sizes of the embeddings that modulate the block.
    """

    def __init__(self, channels: int, sizes: Sizes) -> None:
        super().__init__(channels, channels, sizes, mapped=True)
        self.down = FilteredDown()

    def forward(self, x: Tensor, modulation: Modulation) -> Halved:
        """Halve features ``(N, channels, H, W)``; their details are given up."""
        h = self.conv_in(self.down(self._opened(x, modulation)))
        return Halved(self._closed(h, self.shortcut(self.down(x)), modulation), None)


class UpBlock(Residual):
    """Doubles the resolution by the filter, before its first convolution and in its shortcut.

    Args:
        channels: Channels that come in, and go out.
        sizes: Sizes of the embeddings that modulate the block.
    """

    def __init__(self, channels: int, sizes: Sizes) -> None:
        super().__init__(channels, channels, sizes, mapped=True)

    def forward(self, x: Tensor, details: Tensor | None, modulation: Modulation) -> Tensor:
        """Double features ``(N, channels, H, W)``; there are no details to put back."""
        h = convolve_filtered_up(
            self._opened(x, modulation), self.conv_in.weight, self.conv_in.bias
        )
        # Filters of pixels and maps of channels commute; a map is cheaper on fewer pixels.
        # The filter takes zeros for what is outside the image, so the bias has to wait.
        weight, bias = self.shortcut.parameters()
        passed = filtered_up(functional.conv2d(x, weight)) + bias[:, None, None]
        return self._closed(h, passed, modulation)
