"""At which times a score model learns."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor
from typing_extensions import override

from wavelight.diffusion.processes import Process


class NoiseLevelSampling(ABC):
    """A distribution of times between a process's start and its end."""

    @abstractmethod
    def __call__(self, process: Process, u: Tensor) -> Tensor:
        """Return times ``(N,)``, given numbers ``u`` ``(N,)`` generated uniformly from [0, 1)."""


class UniformTimesteps(NoiseLevelSampling):
    """Equally likely times.

    Args:
        smallest: The smallest time, above 0: at no noise there is nothing to learn.
    """

    def __init__(self, smallest: float = 1e-5) -> None:
        self.smallest = smallest

    @override
    def __call__(self, process: Process, u: Tensor) -> Tensor:
        return self.smallest + (process.end - self.smallest) * u


class QuadraticTimes(NoiseLevelSampling):
    """Times T u^2, more of them near the image (Guth et al., 2022, appendix on experiments).

    Args:
        smallest: The smallest time, above 0.
    """

    def __init__(self, smallest: float = 1e-5) -> None:
        self.smallest = smallest

    @override
    def __call__(self, process: Process, u: Tensor) -> Tensor:
        return self.smallest + (process.end - self.smallest) * u**2


class LogNormalSigma(NoiseLevelSampling):
    """Times whose noise level sigma / alpha has a normal logarithm (EDM: Karras et al., 2022, table 1).

    With ``RectifiedFlow``, whose noise level is t / (1 - t), times are logit-normal (Esser et al.,
    2024, equation 19): mean 0 and deviation 1 are those of Stable Diffusion 3.

    Args:
        mean: Mean of log sigma: -1.2 for pixels of standard deviation 0.5, and -0.5, which is log 2
            more, for standardised bands; 0 for flow matching.
        deviation: The standard deviation of the logarithm.
    """

    def __init__(self, mean: float = -0.5, deviation: float = 1.2) -> None:
        self.mean = mean
        self.deviation = deviation

    @override
    def __call__(self, process: Process, u: Tensor) -> Tensor:
        # Away from 0, whose quantile is minus infinity; u has 24 bits.
        normal = torch.special.ndtri(u.clamp(2**-25, 1 - 2**-24))
        sigma = (self.mean + self.deviation * normal).exp()
        return process.time_of(sigma).clamp(max=process.end)
