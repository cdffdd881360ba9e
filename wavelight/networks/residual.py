"""The residual block of NCSN++ (Song et al. 2021, after BigGAN), conditioned on a step and a style."""

from math import sqrt

from torch import Tensor, nn
from torch.nn import functional as F

from wavelight.networks.conditioning import Condition
from wavelight.networks.initialization import NEARLY_ZERO, fan_average
from wavelight.networks.normalization import AdaptiveGroupNorm
from wavelight.networks.resampling import FilteredUp


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut, and resampling of both where asked.

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
        step: Length of the embedding of the diffusion step.
        style: Length of the style.
        resample: What changes the resolution, before the first convolution and in the shortcut; none if ``None``.
    """

    published_names = {
        "norm_in": "GroupNorm_0",
        "conv_in": "Conv_0",
        "step": "Dense_0",
        "norm_out": "GroupNorm_1",
        "conv_out": "Conv_1",
        "shortcut": "Conv_2",
    }

    def __init__(
        self, inputs: int, outputs: int, step: int, style: int, resample: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.norm_in = AdaptiveGroupNorm(inputs, style)
        self.conv_in = fan_average(nn.Conv2d(inputs, outputs, 3, padding=1))
        self.step = fan_average(nn.Linear(step, outputs))
        self.norm_out = AdaptiveGroupNorm(outputs, style)
        self.conv_out = fan_average(nn.Conv2d(outputs, outputs, 3, padding=1), NEARLY_ZERO)
        straight = inputs == outputs and resample is None
        self.shortcut = nn.Identity() if straight else fan_average(nn.Conv2d(inputs, outputs, 1))
        self.resample = nn.Identity() if resample is None else resample

    def forward(self, x: Tensor, condition: Condition) -> Tensor:
        """Map features ``(N, inputs, H, W)``, given the condition that this block's layers make."""
        h = self.conv_in(self.resample(F.silu(self.norm_in(x, condition.affine_in))))
        h = h + condition.shift[:, :, None, None]
        h = self.conv_out(F.silu(self.norm_out(h, condition.affine_out)))
        return (self._shortcut(x) + h) / sqrt(2)

    def _shortcut(self, x: Tensor) -> Tensor:
        if not isinstance(self.resample, FilteredUp):
            return self.shortcut(self.resample(x))
        # A map of pixels and a filter commute; the map is cheaper before the pixels become four times as many.
        mapped = self.resample(F.conv2d(x, self.shortcut.weight))
        return mapped + self.shortcut.bias[:, None, None]
