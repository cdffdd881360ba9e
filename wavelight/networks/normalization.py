"""Group normalization, plain and with an affine map that a style chooses."""

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from wavelight.networks.initialization import fan_out

EPSILON = 1e-6
_SIDE = 16


def groups_of(channels: int) -> int:
    """Return the number of groups of ``channels``: of four channels each, but at most 32.

    Raises:
        ValueError: If that does not split the channels evenly.
    """
    groups = min(channels // 4, 32)
    if groups < 1 or channels % groups:
        raise ValueError(
            f"channels must split into {groups} equal groups for normalization, got {channels}: "
            "take a multiple of 4 up to 128, or of 32"
        )
    return groups


def group_norm(channels: int) -> "GroupNorm":
    """Return the group normalization of the published networks, with an affine map of its own."""
    return GroupNorm(groups_of(channels), channels, eps=EPSILON)


class GroupNorm(nn.GroupNorm):
    """PyTorch's group normalization, in the form that is fast where it runs."""

    @override
    def forward(self, input: Tensor) -> Tensor:
        if not _is_compiled_for_cpu(input):
            return super().forward(_centered(input, self.num_groups))
        return normalized(input, self.num_groups, self.weight, self.bias)


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
        if _is_compiled_for_cpu(x):
            return normalized(x, self.groups, *affine.chunk(2, dim=1))
        scale, shift = affine[:, :, None, None].chunk(2, dim=1)
        plain = functional.group_norm(_centered(x, self.groups), self.groups, eps=EPSILON)
        return torch.addcmul(shift, scale, plain)


def normalized(x: Tensor, groups: int, scale: Tensor, shift: Tensor) -> Tensor:
    """Return what group normalization does, in operations that a compiler for CPUs vectorises.

    Inductor's own group normalization runs over the four channels of a group, which do not fill a
    vector, and takes two to seven times as long as PyTorch's uncompiled one; this takes two thirds of it.

    Args:
        x: ``(N, C, H, W)``, channels last.
        groups: Into how many groups the channels fall.
        scale: ``(N, C)``, or ``(C,)`` for all images.
        shift: Likewise.

    Returns:
        ``(N, C, H, W)``.
    """
    channels, pixels = x.shape[1], x.shape[2] * x.shape[3]
    # A group's channels are averaged, and its numbers handed back to them, by products with a
    # matrix: what they give stands in memory, and is not computed anew for every pixel.
    members = torch.eye(groups, device=x.device).repeat_interleave(channels // groups, dim=1)
    average = members.t() * (groups / channels)
    # Sums of squares lose digits where the mean is large; seen from one of the pixels, it is not.
    pivot = x[:, :, :1, :1].float()
    away = x.float() - pivot
    # Rows first: they lie in the nearest cache, and short sums round less.
    mean = away.sum(dim=3).sum(dim=2) / pixels
    square = away.square().sum(dim=3).sum(dim=2) / pixels
    level = mean + pivot[:, :, 0, 0]
    center = level @ average @ members
    variance = (square - mean.square() + (level - center).square()) @ average
    deviation = torch.rsqrt(variance + EPSILON) @ members
    normal = (x - center[:, :, None, None]) * (scale * deviation)[:, :, None, None]
    shift = shift if shift.dim() == 2 else shift[None]
    return (normal + shift[:, :, None, None]).to(x.dtype)


def _centered(x: Tensor, groups: int) -> Tensor:
    """Return ``x`` less about the mean of its group, where PyTorch would lose digits to the mean.

    On CPUs it computes the variance of channels-last tensors as E x^2 - (E x)^2. Normalization does not
    see a shift of a whole group, so that gradients need none through it, and a mean of some pixels does.
    """
    if not (x.device.type == "cpu" and x.dtype == torch.float32 and x.stride(1) == 1 < x.stride(3)):
        return x
    rows, columns = (max(1, side // _SIDE) for side in x.shape[2:])
    with torch.no_grad():
        means = x[:, :, ::rows, ::columns].mean(dim=(2, 3)).unflatten(1, (groups, -1))
        center = means.mean(dim=2, keepdim=True).expand_as(means).flatten(1)
    return x - center[:, :, None, None]


def _is_compiled_for_cpu(x: Tensor) -> bool:
    return torch.compiler.is_compiling() and x.device.type == "cpu"
