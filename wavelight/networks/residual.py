"""Residual blocks of NCSN++ (Song et al. 2021, after BigGAN), told a step and a style."""

from math import sqrt
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from wavelight.networks.conditioning import Condition
from wavelight.networks.initialization import NEARLY_ZERO, fan_average
from wavelight.networks.normalization import AdaptiveGroupNorm
from wavelight.networks.resampling import FilteredDown, convolve_filtered_up, filtered_up


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut.

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
        step: Length of the embedding of the diffusion step.
        style: Length of the style.
    """

    published_names: ClassVar = {
        "norm_in": "GroupNorm_0",
        "conv_in": "Conv_0",
        "step": "Dense_0",
        "norm_out": "GroupNorm_1",
        "conv_out": "Conv_1",
        "shortcut": "Conv_2",
    }
    resamples: ClassVar[bool] = False

    def __init__(self, inputs: int, outputs: int, step: int, style: int) -> None:
        super().__init__()
        self.norm_in = AdaptiveGroupNorm(inputs, style)
        self.conv_in = fan_average(nn.Conv2d(inputs, outputs, 3, padding=1))
        self.step = fan_average(nn.Linear(step, outputs))
        self.norm_out = AdaptiveGroupNorm(outputs, style)
        self.conv_out = fan_average(nn.Conv2d(outputs, outputs, 3, padding=1), NEARLY_ZERO)
        mapped = inputs != outputs or self.resamples
        self.shortcut = fan_average(nn.Conv2d(inputs, outputs, 1)) if mapped else nn.Identity()

    def forward(self, x: Tensor, condition: Condition) -> Tensor:
        """Map features ``(N, inputs, H, W)``, given the condition that this block's layers make."""
        h = self._enter(functional.silu(self.norm_in(x, condition.affine_in)))
        h = h + condition.shift[:, :, None, None]
        h = self.conv_out(functional.silu(self.norm_out(h, condition.affine_out)))
        return (self._pass_by(x) + h) / sqrt(2)

    def _enter(self, h: Tensor) -> Tensor:
        return self.conv_in(h)

    def _pass_by(self, x: Tensor) -> Tensor:
        return self.shortcut(x)


class DownBlock(ResidualBlock):
    """Halves the resolution, before its first convolution and in its shortcut."""

    resamples = True

    def __init__(self, inputs: int, outputs: int, step: int, style: int) -> None:
        super().__init__(inputs, outputs, step, style)
        self.down = FilteredDown()

    @override
    def _enter(self, h: Tensor) -> Tensor:
        return self.conv_in(self.down(h))

    @override
    def _pass_by(self, x: Tensor) -> Tensor:
        return self.shortcut(self.down(x))


class UpBlock(ResidualBlock):
    """Doubles the resolution, before its first convolution and in its shortcut."""

    resamples = True

    @override
    def _enter(self, h: Tensor) -> Tensor:
        return convolve_filtered_up(h, self.conv_in.weight, self.conv_in.bias)

    @override
    def _pass_by(self, x: Tensor) -> Tensor:
        # Filters of pixels and maps of channels commute; a map is cheaper on fewer pixels.
        # The filter takes zeros for what is outside the image, so the bias has to wait.
        weight, bias = self.shortcut.parameters()
        return filtered_up(functional.conv2d(x, weight)) + bias[:, None, None]
