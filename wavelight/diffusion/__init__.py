"""Closed forms of diffusion: no network, no Lightning."""

from wavelight.diffusion.few_steps import FewStepDiffusion

__all__ = ["FewStepDiffusion"]
