"""Resampling by two through the filter [1, 3, 3, 1] (Karras et al. 2020)."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from wavelight.networks.initialization import fan_average


class FilteredDown(nn.Module):
    """Halves the resolution: filters, with zeros outside the image, and keeps every second sample.

    Args:
        margin: Zeros on each side of the image: 1 halves it; 2 with a ``stride`` of 1 is one sample
            larger than it.
        stride: One sample in this many is kept.
    """

    kernel: Tensor

    def __init__(self, margin: int = 1, stride: int = 2) -> None:
        super().__init__()
        self.margin = margin
        self.stride = stride
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        self.register_buffer("kernel", torch.outer(taps, taps)[None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Filter ``(N, C, H, W)`` down, by default to ``(N, C, H/2, W/2)``."""
        if x.device.type != "cpu" or not x.requires_grad:
            return self._filtered(x)
        # On a CPU the gradient of a convolution of single channels takes many times as long in 16 bits.
        with torch.autocast("cpu", enabled=False):
            wide = x.float() if x.dtype == torch.bfloat16 else x
            return self._filtered(wide).to(x.dtype)

    def _filtered(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        kernel = self.kernel.to(x.dtype).expand(channels, 1, 4, 4)
        return functional.conv2d(
            x, kernel, stride=self.stride, padding=self.margin, groups=channels
        )


class FilteredConvolutionDown(nn.Module):
    """Halves the resolution by the filter and a learnt 3x3 convolution of stride 2.

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
    """

    published_names: ClassVar = {"convolution": "Conv2d_0"}

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.smooth = FilteredDown(margin=2, stride=1)
        self.convolution = fan_average(nn.Conv2d(inputs, outputs, 3, stride=2))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, inputs, H, W)`` to ``(N, outputs, H/2, W/2)``."""
        return self.convolution(self.smooth(x))


def filtered_up(x: Tensor) -> Tensor:
    """Double the resolution: put zeros between samples, and filter, with zeros outside the image.

    Args:
        x: ``(N, C, H, W)``.

    Returns:
        ``(N, C, 2H, 2W)``.
    """
    pixels = x.permute(0, 2, 3, 1)
    for dim in (1, 2):
        pixels = _interleave(*_between(pixels, dim), dim)
    return pixels.permute(0, 3, 1, 2)


def convolve_filtered_up(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Double the resolution and convolve, for a quarter of the cost of doing one after the other.

    Equal to ``conv2d(filtered_up(x), weight, bias, padding=1)``. A filter of pixels and a map of
    channels commute: so the nine maps of the kernel are applied to the small image, and what they
    give is doubled, shifted and added, which costs next to nothing.

    Args:
        x: ``(N, inputs, H, W)``.
        weight: ``(outputs, inputs, 3, 3)``.
        bias: ``(outputs,)``, or none.

    Returns:
        ``(N, outputs, 2H, 2W)``.
    """
    maps = weight.permute(2, 3, 0, 1).flatten(0, 2)[:, :, None, None]
    mapped = functional.conv2d(x, maps).permute(0, 2, 3, 1)
    for dim in (1, 2):
        # The taps of this dimension are the slowest of the channels that are left.
        mapped = _doubled_taps(mapped, dim)
    return (mapped if bias is None else mapped + bias).permute(0, 3, 1, 2)


def _doubled_taps(mapped: Tensor, dim: int) -> Tensor:
    """Double what each of three taps gave, and add them where a convolution has them."""
    (before_even, before_odd), (at_even, at_odd), (after_even, after_odd) = (
        _between(tap, dim) for tap in mapped.chunk(3, dim=3)
    )
    even = _delayed(before_odd, dim) + at_even + after_odd
    odd = before_even + at_odd + _advanced(after_even, dim)
    return _interleave(even, odd, dim)


def _between(x: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Return the even and the odd samples of what is doubled along a dimension."""
    near = 0.75 * x
    return near + 0.25 * _delayed(x, dim), near + 0.25 * _advanced(x, dim)


def _delayed(x: Tensor, dim: int) -> Tensor:
    return torch.cat(
        [torch.zeros_like(x.narrow(dim, 0, 1)), x.narrow(dim, 0, x.shape[dim] - 1)], dim
    )


def _advanced(x: Tensor, dim: int) -> Tensor:
    return torch.cat(
        [x.narrow(dim, 1, x.shape[dim] - 1), torch.zeros_like(x.narrow(dim, 0, 1))], dim
    )


def _interleave(even: Tensor, odd: Tensor, dim: int) -> Tensor:
    return torch.stack([even, odd], dim + 1).flatten(dim, dim + 1)


def fitted(multipliers: Sequence[int], side: int, smallest_side: int | None) -> Sequence[int]:
    """Return a multiplier for each resolution from a side down to the smallest.

    >>> [fitted([2, 4, 8], side, 4) for side in (8, 16, 64)]
    [[4, 8], [2, 4, 8], [2, 4, 8, 8, 8]]

    Args:
        multipliers: Of the network, the one of the full resolution first.
        side: Side of its images.
        smallest_side: Side of its smallest features; none leaves the multipliers as they are.

    Raises:
        ValueError: If there is no multiplier, or no smallest side.
    """
    if not multipliers:
        raise ValueError("multipliers is empty: give one for each resolution")
    if smallest_side is None:
        return multipliers
    if smallest_side < 1:
        raise ValueError(f"smallest_side must be at least 1, got {smallest_side}")
    count = max(1, (side // smallest_side).bit_length())
    missing = count - len(multipliers)
    return [*multipliers[max(0, -missing) :], *[multipliers[-1]] * missing]


def check_halvings(resolution: int, levels: int) -> None:
    """Check that a network can have as many resolutions, each half the one before.

    Args:
        resolution: Side of its images.
        levels: The number of its multipliers, one for each resolution.

    Raises:
        ValueError: If the side cannot be halved so often.
    """
    if resolution % 2 ** (levels - 1):
        raise ValueError(
            f"resolution must be divisible by {2 ** (levels - 1)} for {levels} multipliers, got "
            f"{resolution}: give fewer multipliers, or images of another side"
        )
