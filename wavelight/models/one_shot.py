"""Models of details that one evaluation samples."""

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor
from typing_extensions import override

from wavelight.factorizations.base import Shape
from wavelight.factors import Condition, FactorShape
from wavelight.models.base import GenerativeModel, NetworkFactory, OptimizerFactory, Player
from wavelight.networks import DetailGenerator
from wavelight.noise import Noise

GENERATOR = "generator"


class OneShotModel(GenerativeModel):
    """Samples the details of a level in one evaluation of a generator.

    Args:
        shape: Of the details, and of LL.
        generator: Called ``(noise, condition)``, samples details.
        generator_optimizer: Makes the generator's optimizer.

    Raises:
        ValueError: If the factor has no LL, or one of a side that the generator cannot halve.
    """

    def __init__(
        self,
        shape: FactorShape,
        generator: NetworkFactory,
        generator_optimizer: OptimizerFactory,
    ) -> None:
        super().__init__()
        if not shape.condition_channels:
            raise ValueError(
                f"{type(self).__name__} models details given LL, which this factor has not; use it for the details of "
                "a pyramid"
            )
        self.generator = cast(DetailGenerator, generator(shape))
        self.generator.check_side(shape.side)
        # A compiled generator does not say it any more.
        self.noise_channels = self.generator.noise_channels
        self._generator_optimizer = generator_optimizer

    @override
    def players(self) -> Mapping[str, Player]:
        return {GENERATOR: Player(self.generator, self._generator_optimizer, samples=True)}

    @override
    def sample(self, shape: Shape, condition: Condition, noise: Noise) -> Tensor:
        return self.details(condition, noise)

    def details(self, condition: Condition, noise: Noise) -> Tensor:
        """Sample details, float32, conditioned on LL ``(N, C, H, W)``."""
        return self.ensemble(1, condition, noise)[0]

    def ensemble(self, samples: int, condition: Condition, noise: Noise) -> Tensor:
        """Sample details several times at each LL, by one call of the generator.

        Args:
            samples: How often, m.
            condition: LL ``(N, C, H, W)``, and what else there is.
            noise: The randomness of the images.

        Returns:
            ``(m, N, C, H, W)``, float32.
        """
        latents = [
            noise.normal(self.noise_channels, *condition.true_ll().shape[2:])
            for _ in range(samples)
        ]
        details = self.generator(torch.cat(latents), condition).float()
        return details.unflatten(0, (samples, -1))

    @override
    def check_shared(self, shapes: Sequence[FactorShape]) -> None:
        for shape in shapes:
            self.generator.check_side(shape.side)

    @override
    def check(self, bounded: bool) -> None:
        if not bounded and getattr(self.generator, "bounded", False):
            raise ValueError(
                "scaling must keep bands in [-1, 1] for a generator that ends in tanh, got one that does not: "
                "take Half or Peak, or give the generator bounded: false"
            )
