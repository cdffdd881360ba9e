"""MeanFlow: the average velocity between two times, which takes noise to an image in one evaluation or a few."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.func import jvp
from torch.nn.attention import SDPBackend, sdpa_kernel
from typing_extensions import override

from wavelight.diffusion.noise_level_sampling import NoiseLevelSampling
from wavelight.diffusion.processes import RectifiedFlow, over_pixels
from wavelight.diffusion.schedules import Schedule
from wavelight.factorizations.base import Factor, Shape
from wavelight.factors import Condition, FactorShape
from wavelight.models.base import (
    NetworkFactory,
    OptimizerFactory,
    Player,
    differentiable_twice,
)
from wavelight.models.stepped import SteppedModel
from wavelight.noise import Noise
from wavelight.support.errors import check_least

VELOCITY = "velocity"


class MeanFlow(SteppedModel):
    """A flow whose network gives the average velocity u(z_t, r, t) of the times r to t (Geng et al., 2025).

    arXiv 2505.13447. On the straight path z_t = (1 - t) x_0 + t noise, of velocity v = noise - x_0, a step of any
    length is z_r = z_t - (t - r) u, up to the one from noise to the target. The network learns (equation 6)

        u = v - (t - r) (v du/dz + du/dt),

    with partial derivatives: the sum is one forward derivative of the network, along the path, and the right side is
    held fixed. Where r = t, it is flow matching.

    Args:
        shape: Of the target, and of LL where the factor has one.
        network: Called ``(z, times, condition)`` with ``times`` ``(N, 2)``, that of z and how far the step goes, both
            times ``time_scale``; returns the shape of z.
        optimizer: Makes its optimizer.
        noise_level_sampling: Each of a pair of times; the later is t. ``LogNormalSigma`` makes them logit-normal.
        schedule: Where the steps of sampling begin and end.
        steps: Number of steps, each with one evaluation.
        apart: Share of the images whose two times differ; the others learn the velocity itself.
        adaptive_power: Power p of the weights (squared error + 0.001)^-p of images (equation 22), which are held fixed;
            0 weighs all alike, and 1 is near to the norm of the error.
        time_scale: Factor on the times that the network receives. The derivative of the embedding grows with it.

    Raises:
        ValueError: If there is no step, ``apart`` is not within (0, 1], ``adaptive_power`` is negative, or
            ``time_scale`` is not above 0.
    """

    def __init__(
        self,
        shape: FactorShape,
        network: NetworkFactory,
        optimizer: OptimizerFactory,
        noise_level_sampling: NoiseLevelSampling,
        schedule: Schedule,
        steps: int,
        apart: float = 0.75,
        adaptive_power: float = 0.75,
        time_scale: float = 20.0,
    ) -> None:
        super().__init__(RectifiedFlow(), schedule, steps)
        check_least({"adaptive_power": (adaptive_power, 0)})
        if not 0 < apart <= 1:
            raise ValueError(
                f"apart must be above 0 and at most 1, got {apart}: for flow matching alone take ScoreModel"
            )
        if not time_scale > 0:
            raise ValueError(f"time_scale must be above 0, got {time_scale}")
        self.velocity = network(shape)
        self.noise_level_sampling = noise_level_sampling
        self.apart = apart
        self.adaptive_power = adaptive_power
        self.time_scale = time_scale
        self._optimizer = optimizer

    @override
    def players(self) -> Mapping[str, Player]:
        return {VELOCITY: Player(self.velocity, self._optimizer, samples=True)}

    @override
    def losses(self, player: str, factor: Factor, turn: int, noise: Noise) -> dict[str, Tensor]:
        x0 = factor.target
        r, t = self._times(noise)
        added = noise.normal(*x0.shape[1:])
        zt = self.process.perturb(x0, t, added)
        speed = added - x0
        predicted, along = self._with_derivative(zt, speed, r, t, factor.condition)
        target = speed - over_pixels(t - r, zt) * along.detach()
        errors = (predicted - target).square().flatten(1).mean(dim=1)
        weights = (errors.detach() + 1e-3) ** -self.adaptive_power
        return {"average_velocity": (weights * errors).mean()}

    def _times(self, noise: Noise) -> tuple[Tensor, Tensor]:
        """Return r and t, ``(N,)`` each, the later for t."""
        first, second, chosen = noise.uniform(3).unbind(dim=1)
        pair = [self.noise_level_sampling(self.process, u) for u in (first, second)]
        r, t = torch.minimum(*pair), torch.maximum(*pair)
        return torch.where(chosen < self.apart, r, t), t

    def _with_derivative(
        self, zt: Tensor, speed: Tensor, r: Tensor, t: Tensor, condition: Condition
    ) -> tuple[Tensor, Tensor]:
        """Return u, and its derivative by t along the path, in float32."""
        velocity, context = differentiable_twice(self.velocity, zt)

        def average(z: Tensor, later: Tensor) -> Tensor:
            return velocity(z, self._embedded(r, later), condition)

        # Faster attention has no forward derivative.
        with context, sdpa_kernel(SDPBackend.MATH):
            predicted, along = jvp(average, (zt, t), (speed, torch.ones_like(t)))[:2]
        return predicted, along

    def _embedded(self, r: Tensor, t: Tensor) -> Tensor:
        return self.time_scale * torch.stack([t, t - r], dim=1)

    @override
    def sample(self, shape: Shape, condition: Condition, noise: Noise) -> Tensor:
        z = float(self.process.sigma(self.times[0])) * noise.normal(*shape)
        times = self.times.to(z)[:, None].expand(-1, len(z))
        lengths = (self.times[:-1] - self.times[1:]).tolist()
        for k, length in enumerate(lengths):
            speed = self.velocity(z, self._embedded(times[k + 1], times[k]), condition)
            z = z - length * speed.float()
        return z
