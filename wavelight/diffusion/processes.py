"""Gaussian diffusion processes in continuous time: how an image turns to noise."""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor
from typing_extensions import override


class Process(ABC):
    """A process with Gaussian marginals, x_t = alpha(t) x_0 + sigma(t) noise.

    It solves dx = drift(t) x dt + sqrt(diffusion(t)) dw (Song et al., 2021, equation 5, with a linear drift). The
    methods work element by element, in the precision and on the device of what they are given.

    Attributes:
        start: The smallest time, at which sampling stops.
        end: The largest time, at which sampling starts.
    """

    def __init__(self, start: float, end: float) -> None:
        if not (0 <= start < end and math.isfinite(end)):
            raise ValueError(
                f"start and end must be 0 <= start < end and finite, got {start} and {end}"
            )
        self.start = start
        self.end = end

    @abstractmethod
    def alpha(self, t: Tensor) -> Tensor:
        """Return what is left of the image at ``t``: at most 1, and 0 only at the end, if at all."""

    @abstractmethod
    def sigma(self, t: Tensor) -> Tensor:
        """Return the standard deviation of the noise at ``t``, at least 0."""

    @abstractmethod
    def drift(self, t: Tensor) -> Tensor:
        """Return d log alpha / dt, at most 0; minus infinity where alpha is 0."""

    @abstractmethod
    def diffusion(self, t: Tensor) -> Tensor:
        """Return g^2 = d sigma^2 / dt - 2 drift sigma^2, at least 0."""

    @abstractmethod
    def time_of(self, ratio: Tensor) -> Tensor:
        """Return the time at which sigma / alpha is ``ratio``; the inverse of `sigma_over_alpha`."""

    def sigma_over_alpha(self, t: Tensor) -> Tensor:
        """Return sigma / alpha at ``t``: the noise level of EDM (Karras et al., 2022), which sees x_t / alpha.

        It is infinite where nothing is left of the image.
        """
        return self.sigma(t) / self.alpha(t)

    def perturb(self, x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """Sample x_t given x_0.

        Args:
            x0: ``(N, C, H, W)``.
            t: ``(N,)`` or 0-dim, on the device of ``x0``.
            noise: Standard normal, of the shape of ``x0``.

        Returns:
            x_t, of the shape and precision of ``x0``.
        """
        return over_pixels(self.alpha(t), x0) * x0 + over_pixels(self.sigma(t), x0) * noise


class OrnsteinUhlenbeck(Process):
    """The process dx = -x dt + sqrt(2) dw (Guth et al., 2022, section 2): alpha = exp(-t), from time 0.

    Args:
        end: The largest time T; alpha is exp(-T) there. WSGM's images take 5, its Gaussian fields 10.

    Raises:
        ValueError: If the end is not above 0.
    """

    def __init__(self, end: float) -> None:
        super().__init__(0.0, end)

    @override
    def alpha(self, t: Tensor) -> Tensor:
        return torch.exp(-t)

    @override
    def sigma(self, t: Tensor) -> Tensor:
        # Near time 0, 1 - exp(-2t) would lose all digits in float32.
        return (-torch.expm1(-2 * t)).sqrt()

    @override
    def drift(self, t: Tensor) -> Tensor:
        return torch.full_like(t, -1.0)

    @override
    def diffusion(self, t: Tensor) -> Tensor:
        return torch.full_like(t, 2.0)

    @override
    def time_of(self, ratio: Tensor) -> Tensor:
        return torch.log1p(ratio**2) / 2


class LinearVariancePreserving(Process):
    """The variance-preserving process whose rate of noise beta(t) rises linearly over times 0 to 1.

    It is DDPM's in the limit of many steps (Song et al., 2021, equations 11 and 32 to 33).

    Args:
        beta_min: The rate of noise at time 0.
        beta_max: The rate of noise at time 1.

    Raises:
        ValueError: If the rates do not rise from above 0.
    """

    def __init__(self, beta_min: float = 0.1, beta_max: float = 20.0) -> None:
        super().__init__(0.0, 1.0)
        if not 0 < beta_min <= beta_max:
            raise ValueError(
                f"beta_min and beta_max must be 0 < beta_min <= beta_max, got {beta_min} and "
                f"{beta_max}"
            )
        self.beta_min = beta_min
        self.beta_max = beta_max

    @override
    def alpha(self, t: Tensor) -> Tensor:
        return torch.exp(-self._noise_so_far(t) / 2)

    @override
    def sigma(self, t: Tensor) -> Tensor:
        return (-torch.expm1(-self._noise_so_far(t))).sqrt()

    @override
    def drift(self, t: Tensor) -> Tensor:
        return -self.diffusion(t) / 2

    @override
    def diffusion(self, t: Tensor) -> Tensor:
        return self.beta_min + (self.beta_max - self.beta_min) * t

    @override
    def time_of(self, ratio: Tensor) -> Tensor:
        noise = torch.log1p(ratio**2)
        root = (self.beta_min**2 + 2 * (self.beta_max - self.beta_min) * noise).sqrt()
        # The root of the quadratic equation in the form that does not cancel at small times.
        return 2 * noise / (self.beta_min + root)

    def _noise_so_far(self, t: Tensor) -> Tensor:
        """Return the integral of beta from 0 to ``t``, which is -2 log alpha."""
        return self.beta_min * t + (self.beta_max - self.beta_min) / 2 * t**2


class VarianceExploding(Process):
    """The process x_t = x_0 + t noise, whose time is the noise level itself (Karras et al., 2022, section 3).

    Args:
        smallest: The noise level at which sampling stops: 0, as in EDM, or above (Song et al., 2021, take 0.01).
        largest: The noise level at which sampling starts, in units of the data; 80 in EDM.

    Raises:
        ValueError: If the levels do not rise from 0 or more.
    """

    def __init__(self, smallest: float = 0.0, largest: float = 80.0) -> None:
        super().__init__(smallest, largest)

    @override
    def alpha(self, t: Tensor) -> Tensor:
        return torch.ones_like(t)

    @override
    def sigma(self, t: Tensor) -> Tensor:
        return t

    @override
    def drift(self, t: Tensor) -> Tensor:
        return torch.zeros_like(t)

    @override
    def diffusion(self, t: Tensor) -> Tensor:
        return 2 * t

    @override
    def time_of(self, ratio: Tensor) -> Tensor:
        return ratio


class RectifiedFlow(Process):
    """The straight path x_t = (1 - t) x_0 + t noise, over times 0 to 1 (Liu et al., 2022; Lipman et al., 2023).

    With ``FlowPrediction`` a score model of it is flow matching, and with the sampler ``ddim`` and the schedule
    ``Uniform`` it samples by Euler's method. At time 1 nothing is left of the image: noise alone is where sampling
    starts, and not only nearly so. ``FlowPrediction`` is finite there; what divides by alpha is not and is refused, as
    ``EpsPrediction``, ``Preconditioned`` and the sampler ``euler_maruyama`` are: they need a schedule that starts
    below 1, ``Karras``.
    """

    def __init__(self) -> None:
        super().__init__(0.0, 1.0)

    @override
    def alpha(self, t: Tensor) -> Tensor:
        return 1 - t

    @override
    def sigma(self, t: Tensor) -> Tensor:
        return t

    @override
    def drift(self, t: Tensor) -> Tensor:
        return -1 / (1 - t)

    @override
    def diffusion(self, t: Tensor) -> Tensor:
        return 2 * t / (1 - t)

    @override
    def time_of(self, ratio: Tensor) -> Tensor:
        # ratio / (1 + ratio) has no value at infinity.
        return 1 / (1 + 1 / ratio)


def over_pixels(values: Tensor, x: Tensor) -> Tensor:
    """Make ``(N,)`` or 0-dim values broadcast with ``x`` and leave it its precision."""
    return values.reshape(-1, *[1] * (x.dim() - 1)).to(x.dtype)
