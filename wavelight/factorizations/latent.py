"""The latent of an autoencoder as the one factor: the baseline of latent diffusion."""

import hashlib
from typing import Protocol, Self, runtime_checkable

import torch
from torch import Tensor, nn
from typing_extensions import override

from wavelight.factorizations.base import Factor, Factorization, SampleTarget, Shape
from wavelight.factorizations.scaling import BandScaling, PerChannel, ScaledBand
from wavelight.wavelets import LevelStatistics


@runtime_checkable
class LatentAutoencoder(Protocol):
    """Interface of a network that encodes images, and that decodes latents when it is called."""

    channels: int
    """Channels of the images."""

    latent_channels: int
    halvings: int
    """How often the latent's side is half the image's."""

    def encode(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and logarithm of the variance of latents, ``(N, latent_channels, h, w)`` each."""

    def __call__(self, latent: Tensor) -> Tensor:
        """Decode latents ``(N, latent_channels, h, w)`` to images ``(N, channels, H, W)``."""


def as_autoencoder(network: nn.Module, option: str) -> LatentAutoencoder:
    """Return a network as the autoencoder that it has to be.

    Args:
        network: Of any kind.
        option: What it was given as, for the message.

    Raises:
        ValueError: If it has not the interface of one.
    """
    if not isinstance(network, LatentAutoencoder):
        raise ValueError(
            f"{option} must be a network with encode, channels, latent_channels and halvings, got "
            f"{type(network).__name__}: take wavelight.networks.Autoencoder"
        )
    return network


class Latent(Factorization):
    """One factor: the latent of a frozen autoencoder, as in latent diffusion (Rombach et al., 2022).

    The target is the mean of the latent's Gaussian, each channel standardised over the training set. In contrast to
    every wavelet factorization decoding loses what the autoencoder loses: decode(encode(image)) is its reconstruction.
    Weights and statistics are buffers and parameters of the factorization, and so are kept in the checkpoint.

    Args:
        autoencoder: The trained network, which this freezes.
        scaling: How the latent is scaled; standardised per channel unless said otherwise.

    Raises:
        ValueError: If the network has no interface of an autoencoder.
    """

    levels = 1
    """Statistics are measured of one split, which gives the latent, however often that halves the sides."""

    def __init__(self, autoencoder: nn.Module, scaling: BandScaling | None = None) -> None:
        super().__init__()
        self.autoencoder = as_autoencoder(autoencoder, "autoencoder")
        self.scaled = ScaledBand(
            scaling or PerChannel(), self.autoencoder.halvings, self.autoencoder.latent_channels
        )
        for parameter in self._network().parameters():
            parameter.requires_grad_(False)
        self.train(self.training)

    @property
    @override
    def bands(self) -> str:
        """A name that follows from the weights, so that statistics of another autoencoder's latent are not taken."""
        hasher = hashlib.sha256()
        for tensor in self._network().state_dict().values():
            hasher.update(tensor.cpu().contiguous().numpy().tobytes())
        return f"latent-{hasher.hexdigest()[:16]}"

    @override
    def split(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return the unscaled latent of images, and no details (no channel of them).

        Args:
            image: ``(N, C, H, W)``, on any device.
        """
        # Statistics are measured of images that were never moved to the device.
        with torch.no_grad():
            mean, _ = self.autoencoder.encode(image.to(self.scaled.mean.device))
        return mean.to(image.device), image[:, :0]

    @override
    def target_shapes(self, image: Shape) -> list[Shape]:
        channels, height, width = image
        if channels != self.autoencoder.channels:
            raise ValueError(
                f"channels of the autoencoder must be those of the images, {channels}, got {self.autoencoder.channels}"
            )
        halvings = self.autoencoder.halvings
        if height % 2**halvings or width % 2**halvings:
            raise ValueError(
                f"image_size must be divisible by 2**halvings = {2**halvings} of the autoencoder, got {height}x{width}"
            )
        return [(self.autoencoder.latent_channels, height >> halvings, width >> halvings)]

    @override
    def factor_name(self, index: int) -> str:
        return "latent"

    @override
    def encode(self, image: Tensor) -> list[Factor]:
        return [Factor(self.scaled(self.split(image)[0]))]

    @override
    def decode(self, sample: SampleTarget) -> Tensor:
        return self.autoencoder(self.scaled.inverse(sample(0, None))).float()

    @override
    def networks(self) -> dict[str, nn.Module]:
        return {"autoencoder": self._network()}

    @override
    def fit(self, statistics: list[LevelStatistics]) -> None:
        self.scaled.fit(statistics[1].coarse)

    @override
    def train(self, mode: bool = True) -> Self:
        """Set the mode of all but the autoencoder, which is frozen and forgets nothing."""
        super().train(mode)
        self._network().eval()
        return self

    def _network(self) -> nn.Module:
        assert isinstance(self.autoencoder, nn.Module)
        return self.autoencoder
