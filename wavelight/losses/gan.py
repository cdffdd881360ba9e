"""Adversarial losses of a generator and a discriminator."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor
from typing_extensions import override

from wavelight.losses.logistic import fake_logistic_loss, r1_penalty, real_logistic_loss

Critic = Callable[[Tensor], Tensor]
"""A discriminator given its condition: maps images ``(N, C, H, W)`` to logits ``(N, 1)``, large for real ones."""


class AdversarialLoss(ABC):
    """The losses of a generator and a discriminator; it holds no network."""

    @abstractmethod
    def generator_loss(self, discriminator: Critic, fake: Tensor, real: Tensor) -> Tensor:
        """Return the generator's loss.

        Args:
            discriminator: The discriminator.
            fake: Generated images, ``(N, C, H, W)``, with gradients.
            real: The real images in whose place they were generated, ``(N, C, H, W)``.
        """

    @abstractmethod
    def discriminator_losses(
        self, discriminator: Critic, fake: Tensor, real: Tensor, turn: int
    ) -> dict[str, Tensor]:
        """Return the terms, by name, whose sum the discriminator minimises.

        Args:
            discriminator: The discriminator; in a step that is :meth:`penalised`, with second derivatives.
            fake: Generated images, ``(N, C, H, W)``, without gradients.
            real: The real images in whose place they were generated, ``(N, C, H, W)``.
            turn: How many steps the discriminator took before this one.
        """

    def penalised(self, turn: int) -> bool:
        """Tell whether a step has a gradient penalty, for which the discriminator needs second derivatives.

        Args:
            turn: How many steps the discriminator took before this one.
        """
        return False


class BoundedCriticLoss(AdversarialLoss):
    """The loss of the published hybrid: the discriminator's sigmoid is a score, high for real ones (Xiao et al., 2024).

    They call it a Wasserstein loss, but nothing enforces a Lipschitz constant; equations 17 and 18 as
    coded (arXiv 2411.09356).
    """

    @override
    def generator_loss(self, discriminator: Critic, fake: Tensor, real: Tensor) -> Tensor:
        return -_score(discriminator(fake))

    @override
    def discriminator_losses(
        self, discriminator: Critic, fake: Tensor, real: Tensor, turn: int
    ) -> dict[str, Tensor]:
        return {"real": -_score(discriminator(real)) / 2, "fake": _score(discriminator(fake)) / 2}


class NonSaturatingLoss(AdversarialLoss):
    """The non-saturating logistic loss with lazy R1 regularization (Goodfellow et al., 2014; Mescheder et al., 2018).

    Args:
        r1_gamma: Weight of the gradient penalty at real images; it multiplies half the squared norm.
        r1_every: Steps of the discriminator from one penalty to the next; the first step has one.
            The penalty is not multiplied by this number, as in DenoisingGAN.

    Raises:
        ValueError: If the weight is negative, or ``r1_every`` is not at least 1.
    """

    def __init__(self, r1_gamma: float, r1_every: int) -> None:
        if r1_gamma < 0:
            raise ValueError(f"r1_gamma must not be negative, got {r1_gamma}")
        if r1_every < 1:
            raise ValueError(f"r1_every must be at least 1, got {r1_every}")
        self.r1_gamma = r1_gamma
        self.r1_every = r1_every

    @override
    def generator_loss(self, discriminator: Critic, fake: Tensor, real: Tensor) -> Tensor:
        return real_logistic_loss(discriminator(fake))

    @override
    def discriminator_losses(
        self, discriminator: Critic, fake: Tensor, real: Tensor, turn: int
    ) -> dict[str, Tensor]:
        penalised = self.penalised(turn)
        real = real.detach().requires_grad_(penalised)
        logits = discriminator(real)
        losses = {
            "real": real_logistic_loss(logits),
            "fake": fake_logistic_loss(discriminator(fake)),
        }
        if penalised:
            losses["r1"] = r1_penalty(logits, real, self.r1_gamma)
        return losses

    @override
    def penalised(self, turn: int) -> bool:
        return self.r1_gamma > 0 and turn % self.r1_every == 0


class RpGANLoss(AdversarialLoss):
    """Relativistic pairing loss: each generated image against the real one in its place, with R1 and R2.

    RpGAN with both penalties at every step (R3GAN, Huang et al., 2024).

    Args:
        gamma: Weight of the gradient penalties at real images and at generated ones; it multiplies half
            the squared norm.

    Raises:
        ValueError: If it is negative.
    """

    def __init__(self, gamma: float) -> None:
        if gamma < 0:
            raise ValueError(f"gamma must not be negative, got {gamma}")
        self.gamma = gamma

    @override
    def generator_loss(self, discriminator: Critic, fake: Tensor, real: Tensor) -> Tensor:
        return real_logistic_loss(discriminator(fake) - discriminator(real))

    @override
    def discriminator_losses(
        self, discriminator: Critic, fake: Tensor, real: Tensor, turn: int
    ) -> dict[str, Tensor]:
        penalised = self.penalised(turn)
        fake, real = (images.detach().requires_grad_(penalised) for images in (fake, real))
        of_fake, of_real = discriminator(fake), discriminator(real)
        losses = {"pairing": real_logistic_loss(of_real - of_fake)}
        if penalised:
            losses["r1"] = r1_penalty(of_real, real, self.gamma)
            losses["r2"] = r1_penalty(of_fake, fake, self.gamma)
        return losses

    @override
    def penalised(self, turn: int) -> bool:
        return self.gamma > 0


def _score(logits: Tensor) -> Tensor:
    return torch.sigmoid(logits.float()).mean()
