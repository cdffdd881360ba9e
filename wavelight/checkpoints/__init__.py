"""Checkpoints: from files to systems that generate images, and back."""

from wavelight.checkpoints.loading import load
from wavelight.checkpoints.published import from_published

__all__ = ["from_published", "load"]
