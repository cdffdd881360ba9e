"""One-shot networks: bases of the generators and discriminators of details, conditioned on LL."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from wavelight.factors import UNCONDITIONAL, Condition


class DetailGenerator(nn.Module, ABC):
    """Maps noise and LL to the details of that band, in one evaluation.

    It is made for no resolution in particular, so that one can serve all levels of a pyramid.

    Args:
        channels: Channels of the details: 9 for colours.
        condition_channels: Channels of LL: 3 for colours.
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
    def forward(self, noise: Tensor, condition: Condition) -> Tensor:
        """Sample details.

        Args:
            noise: Standard normal noise ``(m N, noise_channels, H, W)``, m samples at each LL: one of all N, then
                the next of all; without channels, and therefore empty, where ``noise_channels`` is 0.
            condition: LL bands ``(N, condition_channels, H, W)``, and what else there is.

        Returns:
            Details ``(m N, channels, H, W)``.

        Raises:
            ValueError: If noise or LL do not have the channels that the network is made for,
                if their sizes differ, or if the sides cannot be halved often enough.
        """

    def check_side(self, side: int) -> None:
        """Refuse LL bands of a side that cannot be halved as often as the network does.

        Args:
            side: Height or width of the bands, in pixels.

        Raises:
            ValueError: If ``2 ** halvings`` does not divide it.
        """
        if side % 2**self.halvings:
            raise ValueError(
                f"the side of LL must be a multiple of {2**self.halvings} for the generator's "
                f"{self.halvings} halvings, got {side}: use fewer pools, multipliers or levels"
            )

    def conditioned(self, noise: Tensor, condition: Condition) -> Tensor:
        """Put the noise after LL, ``(m N, condition_channels + noise_channels, H, W)``."""
        ll = self.checked(noise, condition)
        x = torch.cat([ll.repeat(len(noise) // len(ll), 1, 1, 1), noise], dim=1)
        return x.contiguous(memory_format=torch.channels_last)

    def checked(self, noise: Tensor, condition: Condition) -> Tensor:
        """Return LL, channels last, that noise and network fit.

        Raises:
            ValueError: As :meth:`forward`.
        """
        ll = condition.true_ll()
        found = ll.shape[1], noise.shape[1]
        if found != (self.condition_channels, self.noise_channels):
            raise ValueError(
                f"LL and noise must have {self.condition_channels} and {self.noise_channels} "
                f"channels, got {found[0]} and {found[1]}"
            )
        if noise.shape[2:] != ll.shape[2:]:
            raise ValueError(
                f"noise must have the size of LL, {tuple(ll.shape[2:])}, got "
                f"{tuple(noise.shape[2:])}"
            )
        for side in ll.shape[2:]:
            self.check_side(side)
        if len(noise) % len(ll):
            raise ValueError(
                f"noise must be for one or more samples of each of {len(ll)} LL bands, got {len(noise)}"
            )
        return ll.contiguous(memory_format=torch.channels_last)


class DetailDiscriminator(nn.Module, ABC):
    """Discriminator of details, or of images that they complete.

    Args:
        channels: Channels of its input: 9 for the details of colours, 3 for images.
        condition_channels: Channels of the LL that it is conditioned on; 0 for none.
    """

    def __init__(self, channels: int, condition_channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.condition_channels = condition_channels

    @abstractmethod
    @override
    def forward(self, x: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Score details or images.

        Args:
            x: ``(N, channels, H, W)``, real or generated.
            condition: The LL bands that they belong to, ``(N, condition_channels, h, w)``, where
                ``H / h = W / w`` is an integer: 1 for details, 2 for images one level finer, for which
                every pixel of the bands is repeated; not looked at where ``condition_channels`` is 0.

        Returns:
            Logits ``(N, 1)``, large for real ones.

        Raises:
            ValueError: If LL does not have the channels that the network is made for, or if
                its size does not divide that of ``x``.
        """

    def conditioned(self, x: Tensor, condition: Condition) -> Tensor:
        """Put LL after the details or images where the network has it, ``(N, channels + condition_channels, H, W)``."""
        if self.condition_channels:
            ll = condition.true_ll()
            if ll.shape[1] != self.condition_channels:
                raise ValueError(
                    f"LL must have {self.condition_channels} channels, got {ll.shape[1]}"
                )
            x = torch.cat([x, _enlarged(ll, x)], dim=1)
        return x.contiguous(memory_format=torch.channels_last)


def _enlarged(ll: Tensor, x: Tensor) -> Tensor:
    """Repeat the pixels of LL, as the inverse of Haar's wavelet does, to the size of ``x``."""
    size, target = ll.shape[2:], x.shape[2:]
    times = target[0] // size[0]
    if (times * size[0], times * size[1]) != tuple(target):
        raise ValueError(
            f"LL of {tuple(size)} pixels cannot be repeated to the {tuple(target)} of "
            "the discriminator's input: their ratio must be whole"
        )
    return functional.interpolate(ll, scale_factor=times, mode="nearest")
