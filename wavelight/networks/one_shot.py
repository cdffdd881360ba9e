"""What networks that sample or judge details in one evaluation share: how they are told the condition."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override


class DetailGenerator(nn.Module, ABC):
    """Maps noise and a coarse band to the details of that band, in one evaluation.

    It is made for no resolution in particular, so that one can serve all levels of a pyramid.

    Args:
        channels: Channels of the details: 9 for colours.
        condition_channels: Channels of the coarse band: 3 for colours.
        noise_channels: Channels of the noise; 0 for a generator that samples the same every time.
        halvings: How often the network halves the resolution.
    """

    def __init__(
        self, channels: int, condition_channels: int, noise_channels: int, halvings: int
    ) -> None:
        super().__init__()
        self.channels = channels
        self.condition_channels = condition_channels
        self.noise_channels = noise_channels
        self.halvings = halvings

    @abstractmethod
    @override
    def forward(self, noise: Tensor, condition: Tensor) -> Tensor:
        """Sample details.

        Args:
            noise: Standard normal noise ``(N, noise_channels, H, W)``; without channels, and
                therefore empty, where ``noise_channels`` is 0.
            condition: Coarse bands ``(N, condition_channels, H, W)``.

        Returns:
            Details ``(N, channels, H, W)``.

        Raises:
            ValueError: If noise or condition do not have the channels that the network is made for,
                if their sizes differ, or if the sides cannot be halved often enough.
        """

    def check_side(self, side: int) -> None:
        """Refuse coarse bands of a side that cannot be halved as often as the network does.

        Args:
            side: Height or width of the bands, in pixels.

        Raises:
            ValueError: If ``2 ** halvings`` does not divide it.
        """
        if side % 2**self.halvings:
            raise ValueError(
                f"a coarse band of side {side} cannot be halved {self.halvings} times, as the "
                f"generator does; take a multiple of {2**self.halvings}, or fewer halvings"
            )

    def told(self, noise: Tensor, condition: Tensor) -> Tensor:
        """Put the noise after the condition, ``(N, condition_channels + noise_channels, H, W)``."""
        found = condition.shape[1], noise.shape[1]
        if found != (self.condition_channels, self.noise_channels):
            raise ValueError(
                f"the generator is made for a condition of {self.condition_channels} channels and "
                f"noise of {self.noise_channels}, and was given {found[0]} and {found[1]}"
            )
        if noise.shape[2:] != condition.shape[2:]:
            raise ValueError(
                f"noise of {tuple(noise.shape[2:])} pixels does not fit "
                f"a condition of {tuple(condition.shape[2:])}"
            )
        for side in condition.shape[2:]:
            self.check_side(side)
        told = torch.cat([condition, noise], dim=1)
        return told.contiguous(memory_format=torch.channels_last)


class DetailDiscriminator(nn.Module, ABC):
    """Judges whether details, or images that they complete, are real.

    Args:
        channels: Channels of what is judged: 9 for the details of colours, 3 for images.
        condition_channels: Channels of the coarse band that the judgement is told; 0 for none.
    """

    def __init__(self, channels: int, condition_channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.condition_channels = condition_channels

    @abstractmethod
    @override
    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Critic details or images.

        Args:
            x: ``(N, channels, H, W)``, real or generated.
            condition: The coarse bands that they belong to, ``(N, condition_channels, h, w)``, where
                ``H / h = W / w`` is an integer: 1 for details, 2 for images one level finer, for which
                every pixel of the bands is repeated; left out where ``condition_channels`` is 0.

        Returns:
            Logits ``(N, 1)``, large for real ones.

        Raises:
            ValueError: If the condition does not have the channels that the network is made for, or
                if its size does not divide that of ``x``.
        """

    def told(self, x: Tensor, condition: Tensor | None) -> Tensor:
        """Put the condition after what is judged, ``(N, channels + condition_channels, H, W)``."""
        found = 0 if condition is None else condition.shape[1]
        if found != self.condition_channels:
            raise ValueError(
                f"the discriminator is made for a condition of {self.condition_channels} channels, "
                f"and was given one of {found}"
            )
        if condition is not None:
            x = torch.cat([x, _enlarged(condition, x)], dim=1)
        return x.contiguous(memory_format=torch.channels_last)


def _enlarged(condition: Tensor, x: Tensor) -> Tensor:
    """Repeat the pixels of a coarse band, as the inverse of Haar's wavelet does, to the size of ``x``."""
    size, target = condition.shape[2:], x.shape[2:]
    times = target[0] // size[0]
    if (times * size[0], times * size[1]) != tuple(target):
        raise ValueError(
            f"a condition of {tuple(size)} pixels cannot be repeated to the {tuple(target)} "
            "of what is judged"
        )
    return functional.interpolate(condition, scale_factor=times, mode="nearest")
