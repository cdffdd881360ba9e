"""A small convolutional autoencoder: images to a latent of fewer numbers, and back."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from wavelight.factors import FactorShape
from wavelight.networks.initialization import fan_average
from wavelight.networks.normalization import group_norm
from wavelight.support.errors import check_least


class PlainBlock(nn.Module):
    """Two 3x3 convolutions beside an identity; nothing modulates them.

    Args:
        channels: Channels that come in, and go out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm_in = group_norm(channels)
        self.conv_in = _convolution(channels, channels)
        self.norm_out = group_norm(channels)
        self.conv_out = fan_average(nn.Conv2d(channels, channels, 3, padding=1), scale=0)

    def forward(self, x: Tensor) -> Tensor:
        """Map features ``(N, channels, H, W)``."""
        h = self.conv_in(functional.silu(self.norm_in(x)))
        return x + self.conv_out(functional.silu(self.norm_out(h)))


class Autoencoder(nn.Module):
    """Encodes images to a Gaussian of latents, and decodes latents; the halves of a small VAE, without attention.

    The first halving turns blocks of 2x2 pixels into channels, so that no convolution runs at the full resolution; each
    further one is a convolution of stride 2. The decoder mirrors the encoder and has one block a resolution more. Both
    are convolutions alone, and serve images of any sides that can be halved so often. Calling the module decodes, which
    is all that sampling needs of it.

    Args:
        shape: Of the images.
        latent_channels: Channels of the latent.
        width: Channels of the features, of which the multipliers are multiples.
        multipliers: Channels at each resolution as multiples of ``width``, from half the image's side down by halves;
            the latent has the side of the last.
        blocks: Residual blocks at each resolution of the encoder.

    Raises:
        ValueError: If a number is below 1, if the sides cannot be halved so often, or if the images are conditioned on
            LL.
    """

    def __init__(
        self,
        shape: FactorShape,
        latent_channels: int,
        width: int,
        multipliers: Sequence[int],
        blocks: int = 1,
    ) -> None:
        super().__init__()
        shape.refuse_condition(type(self).__name__)
        check_least(
            {
                "latent_channels": (latent_channels, 1),
                "width": (width, 1),
                "multipliers": (len(multipliers), 1),
                "blocks": (blocks, 1),
            }
        )
        self.channels = shape.channels
        self.latent_channels = latent_channels
        self.halvings = len(multipliers)
        self._check_sides(shape.height, shape.width)
        widths = [width * multiplier for multiplier in multipliers]
        self.encoder = _encoder(4 * shape.channels, widths, 2 * latent_channels, blocks)
        self.decoder = _decoder(latent_channels, widths, 4 * shape.channels, blocks + 1)
        self.to(memory_format=torch.channels_last)

    def encode(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and logarithm of the variance of the latents of images.

        Args:
            image: ``(N, channels, H, W)``, in [-1, 1] or of unit variance.

        Returns:
            Two tensors ``(N, latent_channels, H / 2**halvings, W / 2**halvings)``.

        Raises:
            ValueError: If a side cannot be halved so often.
        """
        self._check_sides(*image.shape[2:])
        blocks = functional.pixel_unshuffle(image, 2)
        features = self.encoder(blocks.contiguous(memory_format=torch.channels_last))
        mean, log_variance = features.contiguous().chunk(2, dim=1)
        return mean, log_variance

    @override
    def forward(self, latent: Tensor) -> Tensor:
        """Decode latents.

        Args:
            latent: ``(N, latent_channels, H, W)``.

        Returns:
            Images ``(N, channels, H * 2**halvings, W * 2**halvings)``, unbounded.
        """
        features = self.decoder(latent.contiguous(memory_format=torch.channels_last))
        return functional.pixel_shuffle(features, 2).contiguous()

    def _check_sides(self, height: int, width: int) -> None:
        factor = 2**self.halvings
        if height % factor or width % factor:
            raise ValueError(
                f"image_size must be divisible by 2**{self.halvings} = {factor} for an autoencoder of {self.halvings} "
                f"multipliers, got {height}x{width}: give fewer multipliers, or images of another side"
            )


def _encoder(inputs: int, widths: Sequence[int], outputs: int, blocks: int) -> nn.Sequential:
    layers: list[nn.Module] = [_convolution(inputs, widths[0])]
    for level, width in enumerate(widths):
        if level:
            layers.append(_convolution(widths[level - 1], width, stride=2))
        layers += [PlainBlock(width) for _ in range(blocks)]
    return nn.Sequential(*layers, *_head(widths[-1], outputs))


def _decoder(inputs: int, widths: Sequence[int], outputs: int, blocks: int) -> nn.Sequential:
    layers: list[nn.Module] = [_convolution(inputs, widths[-1])]
    for level in reversed(range(len(widths))):
        layers += [PlainBlock(widths[level]) for _ in range(blocks)]
        if level:
            layers += [nn.Upsample(scale_factor=2), _convolution(widths[level], widths[level - 1])]
    return nn.Sequential(*layers, *_head(widths[0], outputs))


def _head(inputs: int, outputs: int) -> list[nn.Module]:
    return [group_norm(inputs), nn.SiLU(), _convolution(inputs, outputs)]


def _convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return fan_average(nn.Conv2d(inputs, outputs, 3, stride, padding=1))
