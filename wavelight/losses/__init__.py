"""Losses of the players, apart from any network."""

from wavelight.losses.gan import AdversarialLoss, BoundedCriticLoss, NonSaturatingLoss, RpGANLoss

__all__ = ["AdversarialLoss", "BoundedCriticLoss", "NonSaturatingLoss", "RpGANLoss"]
