"""Denoising diffusion GAN: a generator that predicts the clean target, and a discriminator of single steps."""

from collections.abc import Mapping
from contextlib import nullcontext

import torch
from torch import Tensor
from typing_extensions import override

from wavelight.diffusion import FewStepDiffusion
from wavelight.factorizations.base import Factor, Shape
from wavelight.factors import Condition, FactorShape
from wavelight.losses.logistic import fake_logistic_loss, r1_penalty, real_logistic_loss
from wavelight.models.base import (
    GenerativeModel,
    NetworkFactory,
    OptimizerFactory,
    Player,
    differentiable_twice,
)
from wavelight.noise import Noise
from wavelight.support.errors import check_least

GENERATOR = "generator"
DISCRIMINATOR = "discriminator"


class DenoisingGAN(GenerativeModel):
    """A diffusion model of a few large steps, each learnt by a conditional GAN (Xiao et al., 2022).

    With the reconstruction term, and sub-bands for its target, it is the model of WaveDiff (Phung
    et al., 2023).

    Args:
        shape: Of the target; the model is unconditional.
        generator: Called ``(x_{t+1}, t, z)``, predicts x_0.
        discriminator: Called ``(x_t, t, x_{t+1})``, returns one logit an image.
        generator_optimizer: Makes the generator's optimizer.
        discriminator_optimizer: Makes the discriminator's optimizer.
        diffusion: The chain, and with it the number of steps an image takes.
        r1_gamma: Weight of the gradient penalty on real pairs; it multiplies half the squared norm.
        r1_every: Batches from one penalty to the next; the first batch has one. The penalty is not
            multiplied by this number, as published.
        reconstruction_weight: Weight of the mean absolute error of the predicted x_0; 1 for
            WaveDiff, 0 for DDGAN.
        latent_features: Length of the generator's latent z.

    Raises:
        ValueError: If a weight is negative, or ``r1_every`` is not at least 1.
    """

    def __init__(
        self,
        shape: FactorShape,
        generator: NetworkFactory,
        discriminator: NetworkFactory,
        generator_optimizer: OptimizerFactory,
        discriminator_optimizer: OptimizerFactory,
        diffusion: FewStepDiffusion,
        r1_gamma: float,
        r1_every: int,
        reconstruction_weight: float,
        latent_features: int = 100,
    ) -> None:
        super().__init__()
        check_least(
            {
                "r1_every": (r1_every, 1),
                "r1_gamma": (r1_gamma, 0),
                "reconstruction_weight": (reconstruction_weight, 0),
            }
        )
        shape.refuse_condition(type(self).__name__)
        self.generator = generator(shape)
        self.discriminator = discriminator(shape)
        self.diffusion = diffusion
        self.r1_gamma = r1_gamma
        self.r1_every = r1_every
        self.reconstruction_weight = reconstruction_weight
        self.latent_features = latent_features
        self._optimizers = {
            DISCRIMINATOR: discriminator_optimizer,
            GENERATOR: generator_optimizer,
        }

    @override
    def players(self) -> Mapping[str, Player]:
        return {
            DISCRIMINATOR: Player(
                self.discriminator, self._optimizers[DISCRIMINATOR], samples=False
            ),
            GENERATOR: Player(self.generator, self._optimizers[GENERATOR], samples=True),
        }

    @override
    def losses(self, player: str, factor: Factor, turn: int, noise: Noise) -> dict[str, Tensor]:
        t = noise.integers(self.diffusion.steps)
        x0 = factor.target
        # x_{t+1} comes from x_t by one more step, so that the pair is a true one of the chain.
        step_noise, start_noise = noise.normal(*x0.shape[1:]), noise.normal(*x0.shape[1:])
        xt = self.diffusion.perturb(x0, t, start_noise)
        x_next = self.diffusion.step(xt, t, step_noise)
        if player == DISCRIMINATOR:
            return self._discriminator_losses(xt, t, x_next, turn, noise)
        return self._generator_losses(x0, t, x_next, noise)

    def _discriminator_losses(
        self, xt: Tensor, t: Tensor, x_next: Tensor, turn: int, noise: Noise
    ) -> dict[str, Tensor]:
        penalised = self.r1_gamma > 0 and turn % self.r1_every == 0
        xt = xt.requires_grad_(penalised)
        critic, context = (
            differentiable_twice(self.discriminator, xt)
            if penalised
            else (self.discriminator, nullcontext())
        )
        with context:
            logits = critic(xt, t, x_next)
            losses = {"real": real_logistic_loss(logits)}
            if penalised:
                losses["r1"] = r1_penalty(logits, xt, self.r1_gamma)
        with torch.no_grad():
            _, fake = self._predict(x_next, t, noise)
        losses["fake"] = fake_logistic_loss(self.discriminator(fake, t, x_next))
        return losses

    def _generator_losses(
        self, x0: Tensor, t: Tensor, x_next: Tensor, noise: Noise
    ) -> dict[str, Tensor]:
        predicted, fake = self._predict(x_next, t, noise)
        losses = {"adversarial": real_logistic_loss(self.discriminator(fake, t, x_next))}
        if self.reconstruction_weight > 0:
            error = (predicted.float() - x0).abs().mean()
            losses["reconstruction"] = self.reconstruction_weight * error
        return losses

    def _predict(self, x_next: Tensor, t: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
        """Predict x_0 from x_{t+1}, and draw the x_t that would lie between."""
        latent = noise.normal(self.latent_features)
        predicted = self.generator(x_next, t, latent)
        between = noise.normal(*x_next.shape[1:])
        return predicted, self.diffusion.posterior(predicted.float(), x_next, t, between)

    @override
    def sample(self, shape: Shape, condition: Condition, noise: Noise) -> Tensor:
        x = noise.normal(*shape)
        for step in reversed(range(self.diffusion.steps)):
            _, x = self._predict(x, torch.full_like(noise.index, step), noise)
        return x

    @override
    def check(self, bounded: bool) -> None:
        if not bounded and getattr(self.generator, "bounded", True):
            raise ValueError(
                "scaling must keep bands in [-1, 1] for a generator that ends in tanh, got one that does not: "
                "take Peak, or give the generator bounded: false"
            )
