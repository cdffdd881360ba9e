"""Detail GAN: one evaluation samples details given LL, and a discriminator sees the images that they complete."""

from collections.abc import Callable, Mapping, Sequence
from typing import cast

import torch
from torch import Tensor
from typing_extensions import override

from wavelight.factorizations.base import Factor
from wavelight.factors import FactorShape
from wavelight.losses import AdversarialLoss
from wavelight.losses.gan import Critic
from wavelight.models.base import NetworkFactory, OptimizerFactory, Player, differentiable_twice
from wavelight.models.one_shot import GENERATOR
from wavelight.models.reconstructing import ReconstructingModel, completed_side
from wavelight.networks import DetailDiscriminator
from wavelight.noise import Noise
from wavelight.support.errors import check_least

DISCRIMINATOR = "discriminator"


class DetailGAN(ReconstructingModel):
    """A conditional GAN of the details of a level, held to the truth by MSE and SSIM (Xiao et al., 2024).

    Its authors (arXiv 2411.09356) name it GANO. The discriminator sees images one level finer, the
    true LL with generated or with true details, brought to the pixels' range; it is conditioned on
    LL, too, where it has ``condition_channels``.

    Args:
        shape: Of the details, and of LL.
        generator: Called ``(noise, condition)``, samples details.
        discriminator: Called ``(image, condition)``, returns one logit an image.
        generator_optimizer: Makes the generator's optimizer.
        discriminator_optimizer: Makes the discriminator's optimizer.
        adversarial_loss: What the two minimise against each other: ``BoundedCriticLoss`` as published,
            ``NonSaturatingLoss`` or ``RpGANLoss``.
        adversarial_weight: Weight of the game in the generator's loss, alpha; 0.1 as published.
        mse_weight: Weight of the mean squared error of images one level finer, whose pixels lie in
            [0, 1] and whose LL bands lie in [0, 2], [0, 4], ..., lambda; 20 as published.
        ssim_weight: Weight of 1 - SSIM of those images, brought to [0, 1] at every level, nu; 0.5 as
            published.
        discriminator_every: Batches from one turn of the discriminator to the next, between which it
            rests; the first batch has one. 4 as published.

    Raises:
        ValueError: If a weight is negative, all are 0, or ``discriminator_every`` is not at least 1.
    """

    def __init__(
        self,
        shape: FactorShape,
        generator: NetworkFactory,
        discriminator: NetworkFactory,
        generator_optimizer: OptimizerFactory,
        discriminator_optimizer: OptimizerFactory,
        adversarial_loss: AdversarialLoss,
        adversarial_weight: float,
        mse_weight: float,
        ssim_weight: float,
        discriminator_every: int,
    ) -> None:
        super().__init__(shape, generator, generator_optimizer, mse_weight, ssim_weight)
        check_least(
            {
                "adversarial_weight": (adversarial_weight, 0),
                "discriminator_every": (discriminator_every, 1),
            }
        )
        if adversarial_weight == mse_weight == ssim_weight == 0:
            raise ValueError(
                "adversarial_weight, mse_weight or ssim_weight must be above 0, got 0 for all three: the generator "
                "would learn nothing"
            )
        completed = FactorShape.square(
            shape.condition_channels, completed_side(shape), shape.condition_channels
        )
        self.discriminator = cast(DetailDiscriminator, discriminator(completed))
        self.adversarial_loss = adversarial_loss
        self.adversarial_weight = adversarial_weight
        self.discriminator_every = discriminator_every
        self._discriminator_optimizer = discriminator_optimizer

    @override
    def players(self) -> Mapping[str, Player]:
        discriminator = Player(self.discriminator, self._discriminator_optimizer, samples=False)
        return {DISCRIMINATOR: discriminator, **super().players()}

    @override
    def losses(self, player: str, factor: Factor, turn: int, noise: Noise) -> dict[str, Tensor]:
        if player == GENERATOR:
            return self._generator_losses(factor, noise)
        if turn % self.discriminator_every:
            return {}
        return self._discriminator_losses(factor, turn // self.discriminator_every, noise)

    def _generator_losses(self, factor: Factor, noise: Noise) -> dict[str, Tensor]:
        generated = self.details(factor.condition, noise)
        losses = self.reconstruction_losses(factor, generated)
        if self.adversarial_weight > 0:
            fake, real = _completed(factor, generated), _completed(factor, factor.target)
            adversarial = self.adversarial_loss.generator_loss(
                self._critic(factor, self.discriminator), fake, real
            )
            losses["adversarial"] = self.adversarial_weight * adversarial
        return losses

    def _discriminator_losses(self, factor: Factor, turn: int, noise: Noise) -> dict[str, Tensor]:
        with torch.no_grad():
            fake = _completed(factor, self.details(factor.condition, noise))
        real = _completed(factor, factor.target)
        if not self.adversarial_loss.penalised(turn):
            critic = self._critic(factor, self.discriminator)
            return self.adversarial_loss.discriminator_losses(critic, fake, real, turn)
        forward, context = differentiable_twice(self.discriminator, real)
        with context:
            return self.adversarial_loss.discriminator_losses(
                self._critic(factor, forward), fake, real, turn
            )

    def _critic(self, factor: Factor, discriminator: Callable[..., Tensor]) -> Critic:
        return lambda image: discriminator(image, factor.condition)

    @override
    def check_shared(self, shapes: Sequence[FactorShape]) -> None:
        super().check_shared(shapes)
        built = getattr(self.discriminator, "resolution", None)
        for side in map(completed_side, shapes):
            if built not in (None, side):
                raise ValueError(
                    f"share_details must be false with {type(self.discriminator).__name__}, which is built for "
                    f"images of side {built} alone, got one of {side}: take ResidualDiscriminator, or a model for "
                    "each level"
                )


def _completed(factor: Factor, details: Tensor) -> Tensor:
    """Return images one level finer, with Haar in the pixels' range of [-1, 1], as ``factor.finer`` builds them."""
    assert factor.finer is not None
    return factor.finer(details) / factor.finer.peak
