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
    FreshNoise,
    HeunWithChurn,
    Sampler,
    ancestral,
    clipped,
    ddim,
    dpmpp_2m,
    euler_maruyama,
    heun,
    posterior,
)
from wavelight.diffusion.schedules import Cosine, Karras, Quadratic, Schedule, Uniform

__all__ = [
    "Cosine",
    "Denoiser",
    "FewStepDiffusion",
    "FreshNoise",
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
    "dpmpp_2m",
    "euler_maruyama",
    "heun",
    "posterior",
]
