"""A variational autoencoder: one evaluation samples an image, and its latent is what latent diffusion models."""

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor
from typing_extensions import override

from wavelight.factorizations.base import Factor, Shape
from wavelight.factorizations.latent import LatentAutoencoder, as_autoencoder
from wavelight.factors import Condition, FactorShape
from wavelight.models.base import GenerativeModel, NetworkFactory, OptimizerFactory, Player
from wavelight.noise import Noise
from wavelight.support.errors import check_least

AUTOENCODER = "autoencoder"


class VariationalAutoencoder(GenerativeModel):
    """Encoder and decoder that learn together: L1 of the reconstruction, and a KL term that keeps latents near N(0, 1).

    Kingma and Welling, 2014 («Auto-encoding variational Bayes»), with the small weight of the KL term of latent
    diffusion (Rombach et al., 2022), and neither a discriminator nor a loss of pretrained features. With so small a
    weight its own samples, decoded from N(0, 1), are poor: it is trained for the latent, of which
    :class:`wavelight.systems.LDM` trains a model.

    Args:
        shape: Of the images.
        autoencoder: A :class:`wavelight.networks.Autoencoder`, or a network of the same interface.
        optimizer: Makes its optimizer.
        kl_weight: Weight of the KL divergence, in nats per number of the latent, beside the mean absolute error of
            pixels in [-1, 1].

    Raises:
        ValueError: If the weight is negative, the network is no autoencoder, or the factor has a condition.
    """

    def __init__(
        self,
        shape: FactorShape,
        autoencoder: NetworkFactory,
        optimizer: OptimizerFactory,
        kl_weight: float,
    ) -> None:
        super().__init__()
        shape.refuse_condition(type(self).__name__)
        check_least({"kl_weight": (kl_weight, 0)})
        network = autoencoder(shape)
        as_autoencoder(network, f"autoencoder of {type(self).__name__}")
        self.autoencoder = network
        self.kl_weight = kl_weight
        self._optimizer = optimizer

    @override
    def players(self) -> Mapping[str, Player]:
        return {AUTOENCODER: Player(self.autoencoder, self._optimizer, samples=True)}

    @override
    def losses(self, player: str, factor: Factor, turn: int, noise: Noise) -> dict[str, Tensor]:
        mean, log_variance = (each.float() for each in self._coder().encode(factor.target))
        latent = mean + (log_variance / 2).exp() * noise.normal(*mean.shape[1:])
        decoded = self._coder()(latent).float()
        return {
            "l1": (decoded - factor.target).abs().mean(),
            "kl": self.kl_weight * divergence(mean, log_variance).mean(),
        }

    @override
    def sample(self, shape: Shape, condition: Condition, noise: Noise) -> Tensor:
        coder = self._coder()
        _, height, width = shape
        sides = height >> coder.halvings, width >> coder.halvings
        return coder(noise.normal(coder.latent_channels, *sides)).float()

    def _coder(self) -> LatentAutoencoder:
        return cast(LatentAutoencoder, self.autoencoder)


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the KL divergence of N(mean, exp(log_variance)) from N(0, 1) in nats, number by number.

    Kingma and Welling, 2014, appendix B.
    """
    return (mean.square() + torch.expm1(log_variance) - log_variance) / 2
