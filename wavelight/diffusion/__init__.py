"""Closed forms of diffusion: no network, no Lightning."""

from wavelight.diffusion.few_steps import FewStepDiffusion
from wavelight.diffusion.processes import (
    LinearVariancePreserving,
    OrnsteinUhlenbeck,
    Process,
    RectifiedFlow,
    VarianceExploding,
)
from wavelight.diffusion.samplers import (
    Denoiser,
    Draw,
    HeunWithChurn,
    Sampler,
    ancestral,
    clipped,
    ddim,
    dpm_solver_2m,
    euler_maruyama,
    heun,
)
from wavelight.diffusion.schedules import Cosine, Karras, Quadratic, Schedule, Uniform

__all__ = [
    "Cosine",
    "Denoiser",
    "Draw",
    "FewStepDiffusion",
    "HeunWithChurn",
    "Karras",
    "LinearVariancePreserving",
    "OrnsteinUhlenbeck",
    "Process",
    "Quadratic",
    "RectifiedFlow",
    "Sampler",
    "Schedule",
    "Uniform",
    "VarianceExploding",
    "ancestral",
    "clipped",
    "ddim",
    "dpm_solver_2m",
    "euler_maruyama",
    "heun",
]
