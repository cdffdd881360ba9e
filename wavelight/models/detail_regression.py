"""Detail regression: one evaluation samples the details that are expected given LL."""

from torch import Tensor
from typing_extensions import override

from wavelight.factorizations.base import Factor
from wavelight.factors import FactorShape
from wavelight.models.base import NetworkFactory, OptimizerFactory
from wavelight.models.reconstructing import ReconstructingModel
from wavelight.noise import Noise


class DetailRegression(ReconstructingModel):
    """Predicts details without noise and without a game: the published hybrid with alpha = 0.

    Args:
        shape: Of the details, and of LL.
        generator: Called ``(noise, condition)`` with noise of no channels, predicts details.
        generator_optimizer: Makes the generator's optimizer.
        mse_weight: Weight of the mean squared error of images one level finer, whose pixels lie in
            [0, 1] and whose LL bands lie in [0, 2], [0, 4], ...; 20 as published.
        ssim_weight: Weight of 1 - SSIM of those images, brought to [0, 1] at every level; 0.5 as
            published.

    Raises:
        ValueError: If a weight is negative, or both are 0.
    """

    def __init__(
        self,
        shape: FactorShape,
        generator: NetworkFactory,
        generator_optimizer: OptimizerFactory,
        mse_weight: float,
        ssim_weight: float,
    ) -> None:
        super().__init__(shape, generator, generator_optimizer, mse_weight, ssim_weight)
        if mse_weight == ssim_weight == 0:
            raise ValueError(
                "mse_weight or ssim_weight must be above 0, got 0 for both: the generator would learn nothing"
            )
        if self.noise_channels:
            raise ValueError(
                "noise_channels of the generator must be 0 for DetailRegression, which predicts without noise, got "
                f"{self.noise_channels}: give noise_channels 0, or take DetailGAN"
            )

    @override
    def losses(self, player: str, factor: Factor, turn: int, noise: Noise) -> dict[str, Tensor]:
        return self.reconstruction_losses(factor, self.details(factor.condition, noise))
