"""The non-saturating adversarial losses, and the gradient penalty that keeps their game stable."""

import torch
from torch import Tensor
from torch.nn import functional


def real_logistic_loss(logits: Tensor) -> Tensor:
    """Return the mean of -log D for logits of D (Goodfellow et al., 2014).

    The discriminator minimises it on real pairs, the generator on its own.
    """
    return functional.softplus(-logits.float()).mean()


def fake_logistic_loss(logits: Tensor) -> Tensor:
    """Return the mean of -log(1 - D), which the discriminator minimises on generated pairs."""
    return functional.softplus(logits.float()).mean()


def r1_penalty(logits: Tensor, real: Tensor, gamma: float) -> Tensor:
    """Return gamma/2 times the mean squared norm of D's gradient at real data (Mescheder et al., 2018, equation 9).

    At generated data in place of real ones it is R2, their equation 10.

    Args:
        logits: ``(N, 1)``, computed from ``real``.
        real: ``(N, C, H, W)``, requiring a gradient.
        gamma: The weight.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), real, create_graph=True)
    return gamma / 2 * gradient.float().square().flatten(1).sum(1).mean()
