"""Samplers: from noise to an image, over one interface of denoiser.

All are called ``sampler(denoise, process, times, x, noise)`` and make ``len(times) - 1`` steps:

- ``denoise(xt, t)`` predicts E[x_0 | x_t] from ``xt`` ``(N, C, H, W)`` and ``t`` ``(N,)``, both of the precision and on
  the device of ``x``;
- ``process`` is the process that the denoiser was trained on;
- ``times`` ``(steps + 1,)`` fall, as a schedule returns them: float64 on the CPU. All coefficients are worked out where
  the times are; ones on the CPU enter a step as numbers, so no step waits for the device. Times on the device of ``x``
  work too, in their own precision, and do not make a step wait either;
- ``x`` ``(N, C, H, W)`` is the start, a sample of x_t at ``times[0]``;
- ``noise()`` returns standard normal numbers like ``x``; a deterministic sampler never calls it.

They return x_t at ``times[-1]``, which is the image where that has no noise. A "step k" goes from ``times[k]``
("here") to ``times[k + 1]`` ("there").
"""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from wavelight.diffusion.processes import Process

Denoiser = Callable[[Tensor, Tensor], Tensor]
FreshNoise = Callable[[], Tensor]


class Sampler(Protocol):
    """A function, or an object that is called like one, from noise to an image."""

    def __call__(
        self, denoise: Denoiser, process: Process, times: Tensor, x: Tensor, noise: FreshNoise
    ) -> Tensor:
        """Sample; see this module's docstring for the arguments."""
        ...


def clipped(denoise: Denoiser) -> Denoiser:
    """Return ``denoise`` with its images clipped to [-1, 1], as in DDPM (Ho et al., 2020); for pixels only."""

    def clip(xt: Tensor, t: Tensor) -> Tensor:
        return denoise(xt, t).clamp(-1, 1)

    return clip


def euler_maruyama(
    denoise: Denoiser, process: Process, times: Tensor, x: Tensor, noise: FreshNoise
) -> Tensor:
    """Discretise the reverse equation, with its score at the start of each step (Guth et al., 2022, section 2).

    With the Ornstein-Uhlenbeck process a step is x + delta (x + 2 score) + sqrt(2 delta) noise. Every step adds noise,
    the last, too. One evaluation a step. For the arguments, see this module's docstring.

    Raises:
        ValueError: If nothing is left of the image at the first time, where the equation has no finite terms.
    """
    if process.alpha(times[0]) == 0:
        raise ValueError(
            "the sampler cannot start where alpha = 0: take another sampler, or a schedule "
            "that starts below pure noise, such as Karras"
        )
    delta = times[:-1] - times[1:]
    here = times[:-1]
    alpha, sigma = process.alpha(here), process.sigma(here)
    drift, diffusion = process.drift(here), process.diffusion(here)
    for k, t in enumerate(_batches(here, x)):
        score = (alpha[k] * denoise(x, t) - x) / sigma[k] ** 2
        x = x + delta[k] * (diffusion[k] * score - drift[k] * x)
        x = x + (diffusion[k] * delta[k]).sqrt() * noise()
    return x


def ancestral(
    denoise: Denoiser, process: Process, times: Tensor, x: Tensor, noise: FreshNoise
) -> Tensor:
    """Sample each step from the posterior given the denoised image (Ho et al., 2020, equation 7 and algorithm 2).

    The variance is the larger of the paper's two, that of the forward step: beta_k = 1 - (alpha_k / alpha_{k-1})^2 for
    a process that preserves variance. The last step samples no noise. So samples the published code of WSGM. One
    evaluation a step. For the arguments, see this module's docstring.
    """
    return _through_posteriors(denoise, process, times, x, noise, least=False)


def posterior(
    denoise: Denoiser, process: Process, times: Tensor, x: Tensor, noise: FreshNoise
) -> Tensor:
    """Sample each step from the posterior given x_0 itself (Ho et al., 2020, equation 7).

    The variance is the smaller of the paper's two, which is the true one where ``denoise`` does not predict the mean of
    x_0 but samples it, as distributional diffusion does. One evaluation a step. For the arguments, see this module's
    docstring.
    """
    return _through_posteriors(denoise, process, times, x, noise, least=True)


def ddim(
    denoise: Denoiser, process: Process, times: Tensor, x: Tensor, noise: FreshNoise
) -> Tensor:
    """Keep the noise that the denoiser sees and lower its level (Song et al., 2021, DDIM, equation 12 with eta = 0).

    Deterministic; one evaluation a step. For the arguments, see this module's docstring.
    """
    alpha, sigma = process.alpha(times), process.sigma(times)
    of_xt = sigma[1:] / sigma[:-1]
    of_x0 = alpha[1:] - alpha[:-1] * of_xt
    for k, t in enumerate(_batches(times[:-1], x)):
        x = of_x0[k] * denoise(x, t) + of_xt[k] * x
    return x


def dpmpp_2m(
    denoise: Denoiser, process: Process, times: Tensor, x: Tensor, noise: FreshNoise
) -> Tensor:
    """DPM-Solver++(2M): extrapolate from the last two denoised images (Lu et al., 2022, DPM-Solver++, algorithm 2).

    The first step, which has one image only, and the last, which at noise 0 is infinitely long in log ratio, are of the
    first order; so is the second where the first starts from noise alone. Deterministic; one evaluation a step. For the
    arguments, see this module's docstring.
    """
    alpha, sigma = process.alpha(times), process.sigma(times)
    of_xt = sigma[1:] / sigma[:-1]
    of_x0 = alpha[1:] - alpha[:-1] * of_xt
    length = -process.sigma_over_alpha(times).log().diff()
    # 1 / (2 r) of the paper, for the steps from the second on.
    forward = length[1:] / length[:-1] / 2
    last = len(times) - 2
    before = None
    for k, t in enumerate(_batches(times[:-1], x)):
        x0 = denoise(x, t)
        ahead = x0
        if before is not None and k < last:
            ahead = x0 + forward[k - 1] * (x0 - before)
        x = of_x0[k] * ahead + of_xt[k] * x
        before = x0
    return x


def heun(
    denoise: Denoiser, process: Process, times: Tensor, x: Tensor, noise: FreshNoise
) -> Tensor:
    """Solve the probability-flow equation by Heun's method (EDM: Karras et al., 2022, algorithm 1).

    It works on x_t / alpha, whose noise level is sigma / alpha; where that is infinite, at a start from noise alone,
    the first step is Heun's on the straight path. Deterministic; two evaluations a step and one in the last, which is
    Euler's. For the arguments, see this module's docstring.

    Raises:
        ValueError: If the last time has noise left.
    """
    _check_end(process, times)
    times, x = _out_of_noise(denoise, process, times, x)
    levels = _levels(process, times, x)
    x = x / levels[0].scale
    for here, there in pairwise(levels):
        x = _heun_step(denoise, x, here, there, last=there is levels[-1])
    return x * levels[-1].scale


class HeunWithChurn:
    """`heun` with fresh noise before each step (EDM: Karras et al., 2022, algorithm 2).

    The noise takes a step back in time, at the first levels possibly beyond the process's end; a start from noise alone
    gets none. Calling it is sampling: see this module's docstring for the arguments.

    Args:
        churn: The amount of noise over all steps, S_churn; 40 for ImageNet in the paper, 0 for none.
        smallest: The lowest noise level sigma / alpha that gets fresh noise, S_min; 0.05 for ImageNet.
        largest: The highest such level, S_max; 50 for ImageNet.
        noise_scale: The standard deviation of the fresh noise, S_noise, slightly above 1 against lost detail; 1.003 for
            ImageNet.

    Raises:
        ValueError: If the churn or a level is negative, the levels fall, or the scale is not above 0; in the call, if
            the last time has noise left.
    """

    def __init__(
        self,
        churn: float,
        smallest: float = 0.0,
        largest: float = math.inf,
        noise_scale: float = 1.0,
    ) -> None:
        if not (churn >= 0 and 0 <= smallest <= largest and noise_scale > 0):
            raise ValueError(
                "churn, smallest, largest and noise_scale must be churn >= 0, 0 <= smallest <= "
                f"largest and noise_scale > 0, got {churn}, {smallest}, {largest} and {noise_scale}"
            )
        self.churn = churn
        self.smallest = smallest
        self.largest = largest
        self.noise_scale = noise_scale

    def __call__(
        self, denoise: Denoiser, process: Process, times: Tensor, x: Tensor, noise: FreshNoise
    ) -> Tensor:
        """Sample; see this module's docstring for the arguments."""
        _check_end(process, times)
        # The bound keeps the fresh noise from passing what the image has already.
        gamma = min(self.churn / (len(times) - 1), math.sqrt(2) - 1)
        times, x = _out_of_noise(denoise, process, times, x)
        levels = _levels(process, times, x)
        ratio = process.sigma_over_alpha(times[:-1])
        raised = torch.where(
            (ratio >= self.smallest) & (ratio <= self.largest), (1 + gamma) * ratio, ratio
        )
        fresh = self.noise_scale * (raised**2 - ratio**2).sqrt()
        starts = _levels(process, process.time_of(raised), x)
        x = x / levels[0].scale
        for k, (here, there) in enumerate(zip(starts, levels[1:], strict=True)):
            x = x + fresh[k] * noise()
            x = _heun_step(denoise, x, here, there, last=there is levels[-1])
        return x * levels[-1].scale


def _through_posteriors(
    denoise: Denoiser, process: Process, times: Tensor, x: Tensor, noise: FreshNoise, least: bool
) -> Tensor:
    """Sample each step from the posterior of x at the next time, of its least variance or that of the forward step."""
    alpha, variance = process.alpha(times), process.sigma(times) ** 2
    keep = alpha[:-1] / alpha[1:]
    beta = variance[:-1] - keep**2 * variance[1:]
    of_x0 = alpha[1:] * beta / variance[:-1]
    of_xt = keep * variance[1:] / variance[:-1]
    added = beta * variance[1:] / variance[:-1] if least else beta
    last = len(times) - 2
    for k, t in enumerate(_batches(times[:-1], x)):
        x = of_x0[k] * denoise(x, t) + of_xt[k] * x
        if k < last:
            x = x + added[k].sqrt() * noise()
    return x


class _Level(NamedTuple):
    """A time, and coordinates in which y = x_t / scale has d y / d noise = (y - x_0) / noise.

    EDM's are scale = alpha and noise = sigma / alpha (its equations 1 and 3), those of the straight path scale =
    alpha + sigma and noise = sigma / (alpha + sigma).
    """

    t: Tensor
    """The denoiser's ``(N,)`` times; the others are 0-dim."""

    scale: Tensor
    noise: Tensor


def _levels(process: Process, times: Tensor, x: Tensor) -> list[_Level]:
    each = zip(
        _batches(times, x), process.alpha(times), process.sigma_over_alpha(times), strict=True
    )
    return [_Level(*level) for level in each]


def _straight_levels(process: Process, times: Tensor, x: Tensor) -> list[_Level]:
    total = process.alpha(times) + process.sigma(times)
    each = zip(_batches(times, x), total, process.sigma(times) / total, strict=True)
    return [_Level(*level) for level in each]


def _out_of_noise(
    denoise: Denoiser, process: Process, times: Tensor, x: Tensor
) -> tuple[Tensor, Tensor]:
    """Take the first step on the straight path where nothing is left of the image; return the other times, and x."""
    if process.alpha(times[0]) != 0:
        return times, x
    here, there = _straight_levels(process, times[:2], x)
    x = _heun_step(denoise, x / here.scale, here, there, last=len(times) == 2) * there.scale
    return times[1:], x


def _heun_step(denoise: Denoiser, x: Tensor, here: _Level, there: _Level, last: bool) -> Tensor:
    length = there.noise - here.noise
    slope = _slope(denoise, x, here)
    euler = x + length * slope
    if last:
        return euler
    return x + length * (slope + _slope(denoise, euler, there)) / 2


def _slope(denoise: Denoiser, x: Tensor, level: _Level) -> Tensor:
    """Return the slope of x_t / scale along the probability flow (EDM, equations 1 and 3)."""
    return (x - denoise(level.scale * x, level.t)) / level.noise


def _batches(times: Tensor, x: Tensor) -> Tensor:
    """Return the denoiser's times of all steps, ``(steps, N)`` like ``x``: one copy, before the first step."""
    return times.to(x)[:, None].expand(-1, len(x))


def _check_end(process: Process, times: Tensor) -> None:
    left = process.sigma_over_alpha(times[-1]).item()
    if left != 0:
        raise ValueError(
            f"heun must end at noise level 0, got {left:g}: use a schedule that ends there, "
            "such as Karras"
        )
