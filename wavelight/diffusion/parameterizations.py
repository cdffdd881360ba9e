"""Parameterizations: the output of a score model's network, and how it gives the denoised image."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor
from typing_extensions import override

from wavelight.diffusion.processes import Process


class Preconditioning(NamedTuple):
    """From a network F to a denoiser: x_0 is ``c_skip x_t + c_out F(c_in x_t, c_noise)`` (EDM, equation 7)."""

    c_skip: Tensor
    c_out: Tensor
    c_in: Tensor
    c_noise: Tensor
    """The noise level as the network is given it."""


class Parameterization(ABC):
    """Chooses what a network predicts. Numbers are computed element by element for times ``(N,)``."""

    @abstractmethod
    def preconditioning(self, process: Process, t: Tensor) -> Preconditioning:
        """Return the numbers, ``(N,)`` each, that make a denoiser of the network."""

    @abstractmethod
    def target(self, process: Process, x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """Return what the network is to predict where x_t = alpha x_0 + sigma noise.

        Args:
            process: The process.
            x0: ``(N, C, H, W)``.
            t: Times that broadcast to it, ``(N, 1, 1, 1)``.
            noise: Noise, in the shape of ``x0``.
        """


class EpsPrediction(Parameterization):
    """The network predicts the noise (Ho et al., 2020, section 3.2).

    Args:
        time_scale: Factor on the times that the network receives: 200 as WSGM has
            it, so that its end at 5 is the 1000 of DDPM.
    """

    def __init__(self, time_scale: float = 200.0) -> None:
        self.time_scale = time_scale

    @override
    def preconditioning(self, process: Process, t: Tensor) -> Preconditioning:
        alpha, sigma = process.alpha(t), process.sigma(t)
        return Preconditioning(1 / alpha, -sigma / alpha, torch.ones_like(t), self.time_scale * t)

    @override
    def target(self, process: Process, x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        return noise


class VPrediction(Parameterization):
    """The network predicts v = alpha noise - sigma x_0 (Salimans and Ho, 2022, section 4).

    It is for processes that preserve variance.

    Args:
        time_scale: Factor on the times that the network receives.
    """

    def __init__(self, time_scale: float = 200.0) -> None:
        self.time_scale = time_scale

    @override
    def preconditioning(self, process: Process, t: Tensor) -> Preconditioning:
        alpha, sigma = process.alpha(t), process.sigma(t)
        return Preconditioning(alpha, -sigma, torch.ones_like(t), self.time_scale * t)

    @override
    def target(self, process: Process, x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        return process.alpha(t) * noise - process.sigma(t) * x0


class FlowPrediction(Parameterization):
    """The network predicts noise - x_0, the speed along the straight path (Lipman et al., 2023, equation 23).

    It is meant for ``RectifiedFlow``, where x_0 is about x_t - t F, and holds for every process.

    Args:
        time_scale: Factor on the times that the network receives.
    """

    def __init__(self, time_scale: float = 1000.0) -> None:
        self.time_scale = time_scale

    @override
    def preconditioning(self, process: Process, t: Tensor) -> Preconditioning:
        alpha, sigma = process.alpha(t), process.sigma(t)
        total = alpha + sigma
        return Preconditioning(1 / total, -sigma / total, torch.ones_like(t), self.time_scale * t)

    @override
    def target(self, process: Process, x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        return noise - x0


class Preconditioned(Parameterization):
    """The network reads and predicts numbers of variance 1 at every noise level (EDM: Karras et al., 2022, table 1).

    With r = sigma / alpha and y = x_t / alpha, x_0 is about c_skip y + c_out F(c_in y, log(r) / 4).

    Args:
        sigma_data: The standard deviation of the targets; 1 for standardised bands.

    Raises:
        ValueError: If it is not above 0.
    """

    def __init__(self, sigma_data: float = 1.0) -> None:
        if not sigma_data > 0:
            raise ValueError(f"sigma_data must be positive, got {sigma_data}")
        self.sigma_data = sigma_data

    @override
    def preconditioning(self, process: Process, t: Tensor) -> Preconditioning:
        alpha, ratio = process.alpha(t), process.sigma_over_alpha(t)
        total = (ratio**2 + self.sigma_data**2).sqrt()
        return Preconditioning(
            c_skip=self.sigma_data**2 / total**2 / alpha,
            c_out=ratio * self.sigma_data / total,
            c_in=1 / (total * alpha),
            c_noise=ratio.log() / 4,
        )

    @override
    def target(self, process: Process, x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        # (x_0 - c_skip y) / c_out without the difference of near numbers at small noise.
        ratio = process.sigma_over_alpha(t)
        total = (ratio**2 + self.sigma_data**2).sqrt()
        return (ratio * x0 - self.sigma_data**2 * noise) / (self.sigma_data * total)
