"""Distributional diffusion: samples of the clean target at each noise level, learnt by scoring rules, in few steps."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from typing_extensions import override

from wavelight.diffusion.noise_level_sampling import NoiseLevelSampling
from wavelight.diffusion.parameterizations import Preconditioned
from wavelight.diffusion.processes import Process, over_pixels
from wavelight.diffusion.samplers import posterior
from wavelight.diffusion.schedules import Schedule
from wavelight.factorizations.base import Factor, Shape
from wavelight.factorizations.views import View
from wavelight.factors import Condition, FactorShape
from wavelight.models.base import NetworkFactory, OptimizerFactory, Player
from wavelight.models.stepped import SteppedModel
from wavelight.models.view_scores import ViewScores
from wavelight.noise import Noise
from wavelight.support.errors import check_least

DENOISER = "denoiser"


class DistributionalDiffusion(SteppedModel):
    """A diffusion model whose network samples x_0 given x_t, where others predict its mean (De Bortoli et al., 2025).

    arXiv 2502.02483. Steps may be as long as is wanted, down to one, since what is sampled at each is a clean target
    of the right law, and not a mean. The network is given noise beside x_t, and its m samples at each x_t are scored by
    the fair CRPS of linear views. With r = sigma / alpha and EDM's preconditioning,

        x_0 = c_skip x_t + c_out (F(c_in x_t, c_noise; noise) + noise),

    which with F = 0, as it begins, is the exact posterior of white Gaussian targets at every noise level.

    Args:
        shape: Of the target, and of LL where the factor has one.
        network: Called ``(x, c_noise, condition)`` as that of a score model; what it is conditioned on has noise of
            the channels of the target after LL.
        optimizer: Makes its optimizer.
        process: How targets turn to noise.
        noise_level_sampling: The times at which it learns.
        schedule: Where the steps of sampling begin and end.
        steps: Number of steps, each with one evaluation.
        views: What is scored: classes of :mod:`wavelight.factorizations.views`, with their weights.
        samples: Samples at each x_t, m; the score is fair for any m.
        sigma_data: The standard deviation of the targets; 1 for standardised bands.

    Raises:
        ValueError: If there are fewer than two samples, no view, none of them has a weight, or no step.
    """

    def __init__(
        self,
        shape: FactorShape,
        network: NetworkFactory,
        optimizer: OptimizerFactory,
        process: Process,
        noise_level_sampling: NoiseLevelSampling,
        schedule: Schedule,
        steps: int,
        views: Sequence[View],
        samples: int = 2,
        sigma_data: float = 1.0,
    ) -> None:
        parameterization = Preconditioned(sigma_data)
        super().__init__(process, schedule, steps, parameterization)
        check_least({"samples": (samples, 2)})
        noisy = shape._replace(condition_channels=shape.condition_channels + shape.channels)
        self.denoiser = network(noisy)
        self.noise_level_sampling = noise_level_sampling
        self.parameterization = parameterization
        self.scores = ViewScores(views, shape.side)
        self.samples = samples
        self._optimizer = optimizer

    @override
    def players(self) -> Mapping[str, Player]:
        return {DENOISER: Player(self.denoiser, self._optimizer, samples=True)}

    @override
    def losses(self, player: str, factor: Factor, turn: int, noise: Noise) -> dict[str, Tensor]:
        x0 = factor.target
        t = self.noise_level_sampling(self.process, noise.uniform(1)[:, 0])
        xt = self.process.perturb(x0, t, noise.normal(*x0.shape[1:]))
        # One call a sample, since masks of dropout belong to the images of a call.
        ensemble = torch.stack(
            [
                self._clean(xt, t, noise.normal(*x0.shape[1:]), factor.condition)
                for _ in range(self.samples)
            ]
        )
        # The spread of what is sampled is c_out where targets are white: scores are weighed to be alike at all levels.
        weight = 1 / self.parameterization.preconditioning(self.process, t).c_out
        return self.scores(ensemble, factor, turn, weight)

    @override
    def sample(self, shape: Shape, condition: Condition, noise: Noise) -> Tensor:
        def denoise(xt: Tensor, t: Tensor) -> Tensor:
            return self._clean(xt, t, noise.normal(*shape), condition)

        start = float(self.process.sigma(self.times[0])) * noise.normal(*shape)
        return posterior(denoise, self.process, self.times, start, lambda: noise.normal(*shape))

    def _clean(self, xt: Tensor, t: Tensor, latent: Tensor, condition: Condition) -> Tensor:
        """Sample x_0 given x_t ``(N, C, H, W)`` at times ``(N,)``, from a latent of its shape, in float32."""
        c_skip, c_out, c_in, c_noise = self.parameterization.preconditioning(self.process, t)
        given = latent if condition.ll is None else torch.cat([condition.ll, latent], dim=1)
        predicted = self.denoiser(over_pixels(c_in, xt) * xt, c_noise, condition._replace(ll=given))
        return over_pixels(c_skip, xt) * xt + over_pixels(c_out, xt) * (predicted.float() + latent)
