"""Reconstruction terms of one-shot details: the images that they complete, compared with the truth."""

from torch import Tensor

from wavelight.factorizations.base import Factor
from wavelight.factors import FactorShape
from wavelight.losses.reconstruction import SMALLEST_SIDE, dissimilarity
from wavelight.models.base import NetworkFactory, OptimizerFactory
from wavelight.models.one_shot import OneShotModel
from wavelight.support.errors import check_least
from wavelight.wavelets import DETAIL_BANDS


class ReconstructingModel(OneShotModel):
    """A one-shot model that is held to the truth by MSE and SSIM: what a regression and a GAN of details share.

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
        check_least({"mse_weight": (mse_weight, 0), "ssim_weight": (ssim_weight, 0)})
        super().__init__(shape, generator, generator_optimizer)
        completed = completed_side(shape)
        if ssim_weight > 0 and completed < SMALLEST_SIDE:
            raise ValueError(
                f"ssim_weight must be 0 where details complete images of a side below {SMALLEST_SIDE}, got "
                f"{ssim_weight} for side {completed}: give ssim_weight 0, or fewer levels"
            )
        self.mse_weight = mse_weight
        self.ssim_weight = ssim_weight

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


def completed_side(shape: FactorShape) -> int:
    """Return the side of the images that details of this shape complete.

    Three bands of a wavelet complete images of twice their side; the one residual of a Laplacian pyramid has the side
    of the images.
    """
    wavelet = shape.channels == DETAIL_BANDS * shape.condition_channels
    return 2 * shape.side if wavelet else shape.side
