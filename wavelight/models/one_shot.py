"""Models of details that one evaluation samples: what a regression and a GAN of them share."""

from collections.abc import Mapping, Sequence
from typing import cast

from torch import Tensor
from typing_extensions import override

from wavelight.factorizations.base import Factor, Shape
from wavelight.factors import Condition, FactorShape
from wavelight.losses.reconstruction import SMALLEST_SIDE, dissimilarity
from wavelight.models.base import GenerativeModel, NetworkFactory, OptimizerFactory, Player
from wavelight.networks import DetailGenerator
from wavelight.noise import Noise
from wavelight.support.errors import check_least
from wavelight.wavelets import DETAIL_BANDS

GENERATOR = "generator"


class OneShotModel(GenerativeModel):
    """Samples the details of a level in one evaluation, and compares what they complete with the truth.

    Compared are images one level finer: the true LL with generated and with true details (Xiao
    et al., 2024, arXiv 2411.09356, equation 17).

    Args:
        shape: Of the details, and of LL.
        generator: Called ``(noise, condition)``, samples details.
        generator_optimizer: Makes the generator's optimizer.
        mse_weight: Weight of the mean squared error, of images whose pixels lie in [0, 1] and whose
            LL bands lie in [0, 2], [0, 4], ...
        ssim_weight: Weight of 1 - SSIM, of images that are brought to [0, 1] at every level.

    Raises:
        ValueError: If a weight is negative.
    """

    def __init__(
        self,
        shape: FactorShape,
        generator: NetworkFactory,
        generator_optimizer: OptimizerFactory,
        mse_weight: float,
        ssim_weight: float,
    ) -> None:
        super().__init__()
        check_least({"mse_weight": (mse_weight, 0), "ssim_weight": (ssim_weight, 0)})
        if not shape.condition_channels:
            raise ValueError(
                f"{type(self).__name__} models details given LL, which this factor has not; use it for the details of "
                "a pyramid"
            )
        completed = completed_side(shape)
        if ssim_weight > 0 and completed < SMALLEST_SIDE:
            raise ValueError(
                f"ssim_weight must be 0 where details complete images of a side below {SMALLEST_SIDE}, got "
                f"{ssim_weight} for side {completed}: give ssim_weight 0, or fewer levels"
            )
        self.generator = cast(DetailGenerator, generator(shape))
        self.generator.check_side(shape.side)
        self.mse_weight = mse_weight
        self.ssim_weight = ssim_weight
        self._generator_optimizer = generator_optimizer

    @override
    def players(self) -> Mapping[str, Player]:
        return {GENERATOR: Player(self.generator, self._generator_optimizer, samples=True)}

    def reconstruction_losses(self, factor: Factor, generated: Tensor) -> dict[str, Tensor]:
        """Return the terms that compare generated details with the true ones.

        Args:
            factor: True details, and how they complete images.
            generated: Of the shape of the true ones, float32.
        """
        assert factor.finer is not None
        predicted, true = factor.finer(generated), factor.finer(factor.target)
        losses = {}
        if self.mse_weight > 0:
            # Pixels of [-1, 1] are twice as far apart as those of [0, 1].
            losses["mse"] = self.mse_weight * ((predicted - true) / 2).square().mean()
        if self.ssim_weight > 0:
            predicted, true = ((image / factor.finer.peak + 1) / 2 for image in (predicted, true))
            losses["ssim"] = self.ssim_weight * dissimilarity(predicted, true)
        return losses

    @override
    def sample(self, shape: Shape, condition: Condition, noise: Noise) -> Tensor:
        return self.details(condition, noise)

    def details(self, condition: Condition, noise: Noise) -> Tensor:
        """Sample details, float32, conditioned on LL ``(N, C, H, W)``."""
        latent = noise.normal(self.generator.noise_channels, *condition.true_ll().shape[2:])
        return self.generator(latent, condition).float()

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


def completed_side(shape: FactorShape) -> int:
    """Return the side of the images that details of this shape complete.

    Three bands of a wavelet complete images of twice their side; the one residual of a Laplacian pyramid has the side
    of the images.
    """
    wavelet = shape.channels == DETAIL_BANDS * shape.condition_channels
    return 2 * shape.side if wavelet else shape.side
