"""Adversarial losses and reconstruction losses, apart from any network."""

from wavelight.losses.gan import AdversarialLoss, BoundedCriticLoss, NonSaturatingLoss, RpGANLoss

__all__ = ["AdversarialLoss", "BoundedCriticLoss", "NonSaturatingLoss", "RpGANLoss"]
