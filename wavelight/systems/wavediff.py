"""WaveDiff: a denoising diffusion GAN on wavelet sub-bands."""

from functools import partial
from typing import Unpack

from wavelight.diffusion import FewStepDiffusion
from wavelight.factorizations.scaling import BandScaling
from wavelight.factorizations.subbands import Subbands
from wavelight.models import DenoisingGAN, NetworkFactory, OptimizerFactory
from wavelight.systems.base import ImageGenerator, SystemOptions
from wavelight.wavelets import BandOrder


class WaveDiff(ImageGenerator):
    """Wavelet diffusion models (Phung, Dao and Tran, 2023): few-step diffusion of sub-bands with an adversarial loss.

    Args:
        generator: Predicts clean sub-bands; sees ``4**levels * channels`` of them at the image's
            side divided by ``2**levels``.
        discriminator: Scores pairs of neighbouring diffusion steps, as many sub-bands each.
        generator_optimizer: Makes the generator's optimizer.
        discriminator_optimizer: Makes the discriminator's optimizer.
        steps: Diffusion steps, and so generator evaluations an image takes.
        r1_gamma: Weight of the gradient penalty on real pairs; it multiplies half the squared norm.
        r1_every: Batches from one penalty to the next (lazy regularisation).
        reconstruction_weight: Weight of the mean absolute error of the predicted sub-bands; 1 as
            published.
        wavelet: The wavelet of the sub-bands, by PyWavelets' name.
        band_order: The order of the detail bands; it matters only to weights that were trained with
            it.
        levels: How often the wavelet halves the image; once as published.
        scaling: How bands are scaled; none divides by 2 per level, as published, which keeps those
            of Haar in [-1, 1]. For other wavelets take ``Peak``, or a generator with
            ``bounded: false``.
        **options: Those of every system.
    """

    def __init__(
        self,
        generator: NetworkFactory,
        discriminator: NetworkFactory,
        generator_optimizer: OptimizerFactory,
        discriminator_optimizer: OptimizerFactory,
        steps: int,
        r1_gamma: float,
        r1_every: int,
        reconstruction_weight: float = 1.0,
        wavelet: str = "haar",
        band_order: BandOrder = BandOrder.PYTORCH_WAVELETS,
        levels: int = 1,
        scaling: BandScaling | None = None,
        **options: Unpack[SystemOptions],
    ) -> None:
        model = partial(
            DenoisingGAN,
            generator=generator,
            discriminator=discriminator,
            generator_optimizer=generator_optimizer,
            discriminator_optimizer=discriminator_optimizer,
            diffusion=FewStepDiffusion(steps),
            r1_gamma=r1_gamma,
            r1_every=r1_every,
            reconstruction_weight=reconstruction_weight,
        )
        super().__init__(
            factorization=Subbands(
                wavelet, band_order, scaling, options.get("channels", 3), levels
            ),
            models=[model],
            **options,
        )
