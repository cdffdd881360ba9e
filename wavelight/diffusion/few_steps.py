"""The variance-preserving process in a handful of steps, as denoising diffusion GANs run it backwards."""

import torch
from torch import Tensor, nn

_FIRST_TIME = 1e-3


class FewStepDiffusion(nn.Module):
    """A variance-preserving chain x_0, x_1, ..., x_T of a few large steps (Xiao et al., 2022, appendix C).

    Its noise levels are those of the continuous process with a linear beta(t) (Song et al., 2021)
    at T + 1 equidistant times, relative to the first, so that x_0 is exactly clean. A time ``t`` is
    the index of the less noisy end of a step, 0 to T - 1, in every method.

    Args:
        steps: The number of steps T, and so of network evaluations an image takes.
        beta_min: The rate of noise at the start.
        beta_max: The rate of noise at the end.

    Raises:
        ValueError: If there is no step, or the rates do not rise from above 0.
    """

    beta: Tensor
    alpha_bar: Tensor
    sigma_bar: Tensor
    posterior_x0: Tensor
    posterior_xt: Tensor
    posterior_variance: Tensor

    def __init__(self, steps: int, beta_min: float = 0.1, beta_max: float = 20.0) -> None:
        super().__init__()
        if steps < 1:
            raise ValueError(f"steps must be at least 1, got {steps}")
        if not 0 < beta_min <= beta_max:
            raise ValueError(
                f"beta_min and beta_max must be 0 < beta_min <= beta_max, got {beta_min} and "
                f"{beta_max}"
            )
        self.steps = steps
        time = (
            _FIRST_TIME + (1 - _FIRST_TIME) * torch.arange(steps + 1, dtype=torch.float64) / steps
        )
        log_signal = -0.5 * time**2 * (beta_max - beta_min) - time * beta_min
        # Float32 from here on, as published: ratios and products round there.
        beta = (1 - (log_signal[1:] - log_signal[:-1]).exp()).float()
        signal = torch.cat([torch.ones(1), (1 - beta).cumprod(0)])
        before, after = signal[:-1], signal[1:]
        alpha_bar = torch.cat([torch.ones(1), (1 - beta).sqrt().cumprod(0)])
        tables = {
            "beta": beta,
            "alpha_bar": alpha_bar,
            "sigma_bar": (1 - alpha_bar**2).sqrt(),
            "posterior_x0": beta * before.sqrt() / (1 - after),
            "posterior_xt": (1 - before) * (1 - beta).sqrt() / (1 - after),
            "posterior_variance": beta * (1 - before) / (1 - after),
        }
        for name, table in tables.items():
            self.register_buffer(name, table, persistent=False)

    def perturb(self, x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """Sample x_t given x_0.

        Args:
            x0: ``(N, C, H, W)``.
            t: ``(N,)`` int64, 0 to T; x_0 is returned where it is 0.
            noise: Standard normal, of the shape of ``x0``.
        """
        return _at(self.alpha_bar, t, x0) * x0 + _at(self.sigma_bar, t, x0) * noise

    def step(self, xt: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """Sample x_{t+1} given x_t.

        Args:
            xt: ``(N, C, H, W)``.
            t: ``(N,)`` int64, 0 to T - 1.
            noise: Standard normal, of the shape of ``xt``.
        """
        beta = _at(self.beta, t, xt)
        return (1 - beta).sqrt() * xt + beta.sqrt() * noise

    def posterior(self, x0: Tensor, x_next: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """Sample x_t given x_0 and x_{t+1} (Ho et al., 2020, equation 7).

        Args:
            x0: ``(N, C, H, W)``, known or predicted.
            x_next: x_{t+1}, of the same shape.
            t: ``(N,)`` int64, 0 to T - 1; where it is 0 the variance is, too, and x_0 is returned.
            noise: Standard normal, of the shape of ``x0``.
        """
        mean = _at(self.posterior_x0, t, x0) * x0 + _at(self.posterior_xt, t, x0) * x_next
        return mean + _at(self.posterior_variance, t, x0).sqrt() * noise


def _at(table: Tensor, t: Tensor, like: Tensor) -> Tensor:
    return table[t].reshape(-1, *[1] * (like.dim() - 1))
