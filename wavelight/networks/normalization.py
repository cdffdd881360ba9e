"""Group normalization, plain and with an affine map that a style chooses."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from wavelight.networks.initialization import fan_out

EPSILON = 1e-6


def groups_of(channels: int) -> int:
    """Return the number of groups of ``channels``: of four channels each, but at most 32.

    Raises:
        ValueError: If that does not split the channels evenly.
    """
    groups = min(channels // 4, 32)
    if groups < 1 or channels % groups:
        raise ValueError(
            f"{channels} channels cannot be normalized in {groups} equal groups; "
            "take a multiple of 4 up to 128, or of 32"
        )
    return groups


def group_norm(channels: int) -> nn.GroupNorm:
    """Return the group normalization of the published networks, with an affine map of its own."""
    return nn.GroupNorm(groups_of(channels), channels, eps=EPSILON)


class AdaptiveGroupNorm(nn.Module):
    """Group normalization whose scale and shift are linear in a style (Huang and Belongie 2017).

    Args:
        channels: Channels of the features.
        style: Length of the style.
    """

    def __init__(self, channels: int, style: int) -> None:
        super().__init__()
        self.groups = groups_of(channels)
        self.style = fan_out(nn.Linear(style, 2 * channels))
        with torch.no_grad():
            self.style.bias[:channels] = 1

    def forward(self, x: Tensor, affine: Tensor) -> Tensor:
        """Normalize ``x`` ``(N, channels, H, W)``, given the outputs ``affine`` of ``style``."""
        scale, shift = affine[:, :, None, None].chunk(2, dim=1)
        return torch.addcmul(shift, scale, functional.group_norm(x, self.groups, eps=EPSILON))
