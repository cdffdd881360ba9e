"""Consistency models: from any point of a diffusion's path to its end in one evaluation, tuned or learnt from data."""

from collections.abc import Mapping
from math import log2

import torch
from torch import Tensor
from typing_extensions import override

from wavelight.diffusion.noise_level_sampling import NoiseLevelSampling
from wavelight.diffusion.parameterizations import Preconditioned
from wavelight.diffusion.processes import Process, over_pixels
from wavelight.diffusion.schedules import Schedule
from wavelight.factorizations.base import Factor, Shape
from wavelight.factors import Condition, FactorShape
from wavelight.models.base import NetworkFactory, OptimizerFactory, Player
from wavelight.models.score_model import SCORE
from wavelight.models.stepped import SteppedModel
from wavelight.noise import Noise
from wavelight.support.errors import check_least

_SLOPE = 8.0
"""Of the mapping of noise levels, k (Geng et al., 2024, appendix on CIFAR-10)."""

_NEAREST = 2.0**20
"""1 over the least share of its noise level by which a pair may be apart: nearer ones are one point in float32."""


class ConsistencyModel(SteppedModel):
    """A function f(x_t, t) from any point of a path to its end, by easy consistency tuning (Geng et al., 2024).

    arXiv 2406.14548. The end found from x_t is to be the one found from x_r, held fixed, which is a little less noisy
    with the same noise. With y the noise level sigma / alpha of t, that of r is y (1 - n(y) / shrink^(1 + s)), where
    n(y) = 1 + 8 / (1 + e^y), or 0, where x_r is the target itself: as stages s go by, r comes nearer to t, and a
    denoiser becomes a consistency function.

    EDM's preconditioning has f(x_0, 0) = x_0. Network and names are those of a ``ScoreModel`` with ``Preconditioned``,
    with whose weights tuning can start: give the system its checkpoint as ``start_from``.

    Args:
        shape: Of the target, and of LL where the factor has one.
        network: Called ``(x, c_noise, condition)``; returns the shape of x.
        optimizer: Makes its optimizer.
        process: How targets turn to noise.
        noise_level_sampling: The later times of the pairs at which it learns.
        schedule: Where the steps of sampling begin and end; before each but the first, noise of its level is added
            again.
        steps: Number of steps, each with one evaluation.
        stage_batches: Batches of a stage.
        stages: Number of stages; the last goes on.
        shrink: By how much a stage takes r nearer to t; 2 for CIFAR-10, 4 for ImageNet.
        huber: Below what error, as the root of its mean square, the loss is quadratic and not linear (pseudo-Huber).
        sigma_data: The standard deviation of the targets; 1 for standardised bands.

    Raises:
        ValueError: If there is no step or stage, ``shrink`` is not above 1, ``huber`` not above 0, or the last stage
            takes pairs so near that float32 cannot tell them apart.
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
        stage_batches: int,
        stages: int = 8,
        shrink: float = 2.0,
        huber: float = 0.001,
        sigma_data: float = 1.0,
    ) -> None:
        parameterization = Preconditioned(sigma_data)
        super().__init__(process, schedule, steps, parameterization)
        check_least({"stage_batches": (stage_batches, 1), "stages": (stages, 1)})
        if not (shrink > 1 and huber > 0):
            raise ValueError(f"shrink must be above 1 and huber above 0, got {shrink} and {huber}")
        if stages * log2(shrink) > log2(_NEAREST):
            raise ValueError(
                f"shrink ** stages must be at most {_NEAREST:.0f}, beyond which a pair is one point in float32, got "
                f"{shrink:g} ** {stages}: give fewer stages"
            )
        # The name that a score model gives it, so that weights go from one to the other.
        self.score = network(shape)
        self.parameterization = parameterization
        self.noise_level_sampling = noise_level_sampling
        self.stage_batches = stage_batches
        self.stages = stages
        self.shrink = shrink
        self.huber = huber
        self._optimizer = optimizer

    @override
    def players(self) -> Mapping[str, Player]:
        return {SCORE: Player(self.score, self._optimizer, samples=True)}

    @override
    def losses(self, player: str, factor: Factor, turn: int, noise: Noise) -> dict[str, Tensor]:
        x0 = factor.target
        t = self.noise_level_sampling(self.process, noise.uniform(1)[:, 0])
        added = noise.normal(*x0.shape[1:])
        level = self.process.sigma_over_alpha(t)
        lower = level * self.kept(level, turn)
        r = self.process.time_of(lower)
        with torch.no_grad():
            found = self._end(self.process.perturb(x0, r, added), r, factor.condition)
            # At level 0 the network, which reads its logarithm, says nothing; the end of the path is known.
            found = torch.where(over_pixels(lower, x0) > 0, found, x0)
        errors = self._end(self.process.perturb(x0, t, added), t, factor.condition) - found
        size = (errors.square().flatten(1).mean(dim=1) + self.huber**2).sqrt() - self.huber
        # 1 / (t - r), in units in which gradients of the network are alike at all levels.
        weight = (
            level / (level - lower) / self.parameterization.preconditioning(self.process, t).c_out
        )
        return {"consistency": (weight * size).mean()}

    def kept(self, level: Tensor, turn: int) -> Tensor:
        """Return which share of the noise level is left at r, ``(N,)`` in [0, 1).

        Args:
            level: Noise levels sigma / alpha at t, ``(N,)``.
            turn: The number of batches before this one.
        """
        stage = min(turn // self.stage_batches, self.stages - 1)
        near = 1 + _SLOPE * torch.sigmoid(-level)
        return (1 - near / self.shrink ** (1 + stage)).clamp(min=0)

    def _end(self, xt: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """Return the end of the path through x_t ``(N, C, H, W)`` at times ``(N,)``, in float32."""
        c_skip, c_out, c_in, c_noise = self.parameterization.preconditioning(self.process, t)
        predicted = self.score(over_pixels(c_in, xt) * xt, c_noise, condition).float()
        return over_pixels(c_skip, xt) * xt + over_pixels(c_out, xt) * predicted

    @override
    def sample(self, shape: Shape, condition: Condition, noise: Noise) -> Tensor:
        image = torch.zeros(len(noise.index), *shape, device=noise.index.device)
        for t in self.times[:-1].to(image)[:, None].expand(-1, len(image)):
            # Nothing is left of an image at the first level, as good as: noise alone is where sampling starts.
            image = self._end(self.process.perturb(image, t, noise.normal(*shape)), t, condition)
        return image
