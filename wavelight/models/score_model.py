"""Score models: a denoiser learnt at all noise levels, and a sampler that follows it back from noise."""

from collections.abc import Mapping

from torch import Tensor
from typing_extensions import override

from wavelight.diffusion.noise_level_sampling import NoiseLevelSampling
from wavelight.diffusion.parameterizations import Parameterization
from wavelight.diffusion.processes import Process, over_pixels
from wavelight.diffusion.samplers import HeunWithChurn, Sampler, clipped
from wavelight.diffusion.schedules import Schedule
from wavelight.factorizations.base import Factor, Shape
from wavelight.factors import Condition, FactorShape
from wavelight.models.base import NetworkFactory, OptimizerFactory, Player
from wavelight.models.stepped import SteppedModel
from wavelight.noise import Noise
from wavelight.support.errors import check_least

SCORE = "score"


class ScoreModel(SteppedModel):
    """A diffusion model of one factor, conditional where the factor has a condition (Song et al., 2021).

    Args:
        shape: Of the target, and of LL where the factor has one.
        network: Called ``(x, c_noise, condition)``; returns the shape of x.
        optimizer: Makes its optimizer.
        process: How targets turn to noise.
        parameterization: What the network predicts.
        noise_level_sampling: The times at which it learns.
        sampler: A function of :mod:`wavelight.diffusion.samplers`, by its import path, or the class
            ``HeunWithChurn`` there.
        schedule: Where the sampler's steps begin and end.
        steps: Number of steps; the network's evaluations follow from the sampler.
        clip: Whether denoised targets are clipped to [-1, 1] while sampling: for pixels alone.
        condition_noise: Standard deviation of noise that is added to the condition, while learning
            and while sampling, so that what an imperfect coarser model samples looks no worse than what
            was seen (Ho et al., 2022, section 4.2); 0 as in WSGM.

    Raises:
        ValueError: If there is no step, the noise of the condition is negative, or the network's
            prediction denoises nothing where the steps begin.
    """

    def __init__(
        self,
        shape: FactorShape,
        network: NetworkFactory,
        optimizer: OptimizerFactory,
        process: Process,
        parameterization: Parameterization,
        noise_level_sampling: NoiseLevelSampling,
        # A class must be named for YAML to take it where functions go.
        sampler: Sampler | HeunWithChurn,
        schedule: Schedule,
        steps: int,
        clip: bool = False,
        condition_noise: float = 0.0,
    ) -> None:
        super().__init__(process, schedule, steps, parameterization)
        check_least({"condition_noise": (condition_noise, 0)})
        self.score = network(shape)
        self.parameterization = parameterization
        self.noise_level_sampling = noise_level_sampling
        self.sampler = sampler
        self.clip = clip
        self.condition_noise = condition_noise
        self._optimizer = optimizer

    @override
    def players(self) -> Mapping[str, Player]:
        return {SCORE: Player(self.score, self._optimizer, samples=True)}

    @override
    def losses(self, player: str, factor: Factor, turn: int, noise: Noise) -> dict[str, Tensor]:
        x0 = factor.target
        t = self.noise_level_sampling(self.process, noise.uniform(1)[:, 0])
        added = noise.normal(*x0.shape[1:])
        condition = self._blurred(factor.condition, noise)
        coefficients = self.parameterization.preconditioning(self.process, t)
        xt = self.process.perturb(x0, t, added)
        scaled = over_pixels(coefficients.c_in, xt) * xt
        predicted = self.score(scaled, coefficients.c_noise, condition).float()
        target = self.parameterization.target(self.process, x0, over_pixels(t, x0), added)
        return {"denoising": (predicted - target).square().mean()}

    @override
    def sample(self, shape: Shape, condition: Condition, noise: Noise) -> Tensor:
        condition = self._blurred(condition, noise)

        def denoise(xt: Tensor, t: Tensor) -> Tensor:
            c_skip, c_out, c_in, c_noise = self.parameterization.preconditioning(self.process, t)
            predicted = self.score(over_pixels(c_in, xt) * xt, c_noise, condition).float()
            return over_pixels(c_skip, xt) * xt + over_pixels(c_out, xt) * predicted

        start = float(self.process.sigma(self.times[0])) * noise.normal(*shape)
        return self.sampler(
            clipped(denoise) if self.clip else denoise,
            self.process,
            self.times,
            start,
            lambda: noise.normal(*shape),
        )

    def _blurred(self, condition: Condition, noise: Noise) -> Condition:
        if condition.ll is None or self.condition_noise == 0:
            return condition
        added = self.condition_noise * noise.normal(*condition.ll.shape[1:])
        return condition._replace(ll=condition.ll + added)
