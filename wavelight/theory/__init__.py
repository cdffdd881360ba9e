"""Exact theory of SGM and WSGM on stationary Gaussian fields: no training, no sampling, seconds on a CPU.

``steps_needed(system="wsgm", size=64, eta=2.0, kl_per_dim=1e-2, wavelet="db4")`` is the answer in
one call; the modules are its parts: spectrum, wavelet level, factors, recursion, errors, steps.
"""

from wavelight.theory.aliasing import Level, split
from wavelight.theory.covariance_error import level_error, pixel_error
from wavelight.theory.expansion import mean_step_error, variance_horizon_error, variance_step_error
from wavelight.theory.factors import GaussianFactor, pixel_factor, pyramid_factors
from wavelight.theory.recursion import Chain, euler_maruyama, kl_divergence, uniform_times
from wavelight.theory.spectra import power_law
from wavelight.theory.steps import (
    System,
    factors_of,
    kl_per_dimension,
    smallest_steps,
    steps_needed,
)

__all__ = [
    "Chain",
    "GaussianFactor",
    "Level",
    "System",
    "euler_maruyama",
    "factors_of",
    "kl_divergence",
    "kl_per_dimension",
    "level_error",
    "mean_step_error",
    "pixel_error",
    "pixel_factor",
    "power_law",
    "pyramid_factors",
    "smallest_steps",
    "split",
    "steps_needed",
    "uniform_times",
    "variance_horizon_error",
    "variance_step_error",
]
